"""Walks a Q/DQ graph once, so that each activation has one grid and all layers have one form."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference

from calibration.onnx_graph import attribute
from pipeline.models.foreign.quantised.refusal import NoQdqForm
from pipeline.models.foreign.quantised.stored_integers import (
    StoredIntegers,
    evaluated,
    on_a_grid,
    quantised,
)
from pipeline.models.foreign.quantised.weighted_layer import (
    WeightedLayer,
    gain_and_shift,
    read_conv,
    read_gemm,
)

Array = NDArray[Any]
MOVES = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""Operators through which stored integers stay integers."""
FOLDED = MOVES | {
    *("Concat", "Slice", "Gather", "Cast", "ConstantOfShape", "Expand", "Range", "Where", "Equal"),
    *("Add", "Sub", "Mul", "Div", "Neg", "Sqrt", "Reciprocal", "Pow", "Floor", "Min", "Max", "Clip", "Abs"),
}
"""Operators that are folded if all inputs are constants."""


ON_THE_GRID = MOVES | {
    *("MaxPool", "GlobalMaxPool", "Relu", "Slice", "Split", "Gather", "Dropout", "Tile", "Expand"),
    *("DepthToSpace", "SpaceToDepth"),
}
"""Operators that only pick values of their first input, and zero: the values stay on its grid."""


@dataclass(frozen=True)
class Grid:
    """A step and a zero point, as uint8: int8 is stored 128 higher."""

    scale: float
    zero: int


@dataclass(frozen=True, eq=False)
class Rounding:
    """A QuantizeLinear and its DequantizeLinear: the tensor `source` on a grid is `output`."""

    node: str
    source: str
    output: str
    grid: Grid


@dataclass(frozen=True, eq=False)
class ImageGrid:
    """A DequantizeLinear of the uint8 pixels themselves, in [N, C, H, W]."""

    node: str
    source: str
    output: str
    grid: Grid


@dataclass(frozen=True, eq=False)
class Plain:
    """A node that stays in float, with what it reads that is constant."""

    node: onnx.NodeProto


Item = Rounding | ImageGrid | WeightedLayer | Plain


@dataclass(frozen=True, eq=False)
class CanonicalGraph:
    """The items in order; `constants` are those that plain nodes read. Layers read dequantised tensors."""

    model: onnx.ModelProto
    items: tuple[Item, ...]
    constants: dict[str, Array]
    output: str


def canonical(model: onnx.ModelProto) -> CanonicalGraph:
    """Read a graph of opset 17 without integer operators, whose input is `image`. Raises NoQdqForm."""
    return _Walk(model).run()


class _Walk:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants: dict[str, Array] = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        self.stored: dict[str, StoredIntegers] = {}
        self.written: dict[str, tuple[onnx.NodeProto, str, Grid]] = {}
        """QuantizeLinear nodes by their output, each with the tensor that it reads and the grid."""
        self.grids: dict[str, Grid] = {}
        """Grids by dequantised tensor."""
        self.still: dict[str, Grid] = {}
        """Grids by tensors whose values lie on one, because an operator that only picks values wrote them."""
        self.same: dict[str, str] = {}
        """Second names of tensors."""
        self.by_integers: dict[str, str] = {}
        self.layers: dict[str, WeightedLayer] = {}
        self.items: list[Item] = []
        self.readers = Counter(name for node in model.graph.node for name in node.input)
        self.readers.update(value.name for value in model.graph.output)
        self.ranks = _ranks(model)

    def run(self) -> CanonicalGraph:
        for node in self.model.graph.node:
            self._node(node)
        output = self._name(self.model.graph.output[0].name)
        return CanonicalGraph(self.model, tuple(self.items), self.constants, output)

    def _node(self, node: onnx.NodeProto) -> None:
        reads = [self._name(name) for name in node.input]
        if node.op_type == "QuantizeLinear":
            self._quantize(node, reads)
        elif node.op_type == "DequantizeLinear":
            self._dequantize(node, reads)
        elif (
            not self._folded(node, reads) and not self._layer(node, reads) and not self._taken_in(node, reads)
        ):
            self._plain(node, reads)

    def _name(self, name: str) -> str:
        return self.same.get(name, name)

    def _grid(self, node: onnx.NodeProto) -> tuple[Array, Array]:
        """Return scale and zero point. Raises NoQdqForm where they are computed, or make no grid."""
        scale = self._known(node, node.input[1], "scale")
        zero = np.zeros(1, np.int32)
        if len(node.input) > 2 and node.input[2]:
            zero = self._known(node, node.input[2], "zero point")
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise NoQdqForm(node, f"has the scale {scale.ravel()[0]:g}; scales are finite and above zero")
        if zero.size not in (1, scale.size):
            raise NoQdqForm(node, f"has {scale.size} scales and {zero.size} zero points")
        return scale, zero

    def _known(self, node: onnx.NodeProto, name: str, what: str) -> Array:
        found = self._value(self._name(name))
        if found is None:
            raise NoQdqForm(node, f"computes its {what}, and engines need it when they are built")
        return found

    def _value(self, name: str) -> Array | None:
        """Return a constant; dequantised if it is stored as integers."""
        if name in self.stored:
            return self.stored[name].value
        return self.constants.get(name)

    def _of_activations(self, node: onnx.NodeProto, scale: Array, zero: Array) -> Grid:
        if len(np.unique(scale)) != 1 or len(np.unique(zero)) != 1:
            why = f"gives an activation {scale.size} scales; numbers of different scales cannot be summed"
            raise NoQdqForm(node, why, "Quantise activations with one scale a tensor.")
        lift = 128 if zero.dtype == np.int8 else 0
        return Grid(float(scale.ravel()[0]), int(zero.ravel()[0]) + lift)

    def _quantize(self, node: onnx.NodeProto, reads: list[str]) -> None:
        scale, zero = self._grid(node)
        value = self._value(reads[0])
        if value is not None:
            self.constants[node.output[0]] = quantised(node, value, scale, zero)
            return
        grid = self._of_activations(node, scale, zero)
        self.written[node.output[0]] = node, reads[0], grid

    def _dequantize(self, node: onnx.NodeProto, reads: list[str]) -> None:
        scale, zero = self._grid(node)
        integers, output = reads[0], node.output[0]
        if integers in self.constants:
            self._dequantize_constant(node, self.constants[integers], scale, zero)
            return
        if integers not in self.written:
            grid = self._of_activations(node, scale, zero)
            self.items.append(ImageGrid(node.name, integers, output, grid))
            self.grids[output] = grid
            return
        wrote, source, grid = self.written[integers]
        there = self._of_activations(node, scale, zero.astype(self._type_of(wrote), copy=False))
        if there != grid:
            raise NoQdqForm(node, f"has another grid than {wrote.name!r}, whose integers it reads")
        if integers in self.by_integers:
            self.same[output] = self.by_integers[integers]
            return
        self.by_integers[integers] = output
        self.grids[output] = grid
        self.items.append(Rounding(wrote.name, source, output, grid))

    def _type_of(self, quantize: onnx.NodeProto) -> np.dtype[Any]:
        return self._known(quantize, quantize.input[2], "zero point").dtype

    def _dequantize_constant(self, node: onnx.NodeProto, values: Array, scale: Array, zero: Array) -> None:
        axis = attribute(node, "axis", 1)
        if scale.size > 1 and (values.ndim == 0 or values.shape[axis % values.ndim] != scale.size):
            raise NoQdqForm(node, f"has {scale.size} scales for a constant of shape {list(values.shape)}")
        self.stored[node.output[0]] = StoredIntegers.of(values, scale, zero, axis)

    def _folded(self, node: onnx.NodeProto, reads: list[str]) -> bool:
        """Compute a node all of whose inputs are constants; move integers where it only moves."""
        if node.op_type not in FOLDED or len(node.output) != 1:
            return False
        known = {given: self._value(name) for given, name in zip(node.input, reads, strict=True) if given}
        values = {given: value for given, value in known.items() if value is not None}
        if len(values) != len(known):
            return False
        first = reads[0] if reads else ""
        if node.op_type in MOVES and first in self.stored:
            given = node.input[0]
            self.stored[node.output[0]] = self.stored[first].moved(
                lambda part: evaluated(node, {**values, given: np.ascontiguousarray(part)})
            )
        else:
            self.constants[node.output[0]] = evaluated(node, values)
        return True

    def _layer(self, node: onnx.NodeProto, reads: list[str]) -> bool:
        """Read a Conv, Gemm or MatMul whose input and weights are quantised."""
        on_a_grid = reads[0] in self.grids or reads[0] in self.still
        if node.op_type not in ("Conv", "Gemm", "MatMul") or not on_a_grid:
            return False
        weights = self._weights(node, reads[1])
        bias = self._value(reads[2]) if len(reads) > 2 and reads[2] else None
        computed = len(reads) > 2 and reads[2] and bias is None
        if weights is None or computed or (node.op_type == "MatMul" and self.ranks.get(node.input[0]) != 2):
            return False
        grid = self.grids.get(reads[0]) or self.still[reads[0]]
        read = read_conv if node.op_type == "Conv" else read_gemm
        layer = read(node, grid.scale, weights, bias)
        if layer is None:
            return False
        layer.data = self._dequantised(reads[0])
        self.layers[layer.output] = layer
        self.items.append(layer)
        return True

    def _weights(self, node: onnx.NodeProto, name: str) -> StoredIntegers | None:
        """Return a layer's weights as integers; of a float constant, where its values lie on a grid."""
        value = self.constants.get(name)
        if name in self.stored or value is None or value.dtype != np.float32 or value.ndim < 2:
            return self.stored.get(name)
        outputs_first = node.op_type == "Conv" or attribute(node, "transB", 0)
        return on_a_grid(value, 0 if outputs_first else 1)

    def _dequantised(self, name: str) -> str:
        """Return a tensor behind a DequantizeLinear: one that is still on a grid is rounded to it."""
        if name in self.grids:
            return name
        output = f"{name}/as_it_is"
        if output not in self.grids:
            self.grids[output] = self.still[name]
            self.items.append(Rounding(f"{output}/QuantizeLinear", name, output, self.still[name]))
        return output

    def _taken_in(self, node: onnx.NodeProto, reads: list[str]) -> bool:
        """Fold a bias or norm into the layer in front of it, if nothing else reads that layer."""
        behind = next((name for name in reads if name in self.layers), None)
        if behind is None or self.readers[behind] != 1:
            return False
        layer = self.layers[behind]
        known = {given: self._value(name) for given, name in zip(node.input, reads, strict=True)}
        constants = {given: value for given, value in known.items() if value is not None}
        found = gain_and_shift(node, constants, layer.is_conv)
        if found is None or any(part.size not in (1, len(layer.scales)) for part in found[1:]):
            return False
        layer.take_in(*found[1:])
        del self.layers[behind]
        layer.output = node.output[0]
        self.layers[layer.output] = layer
        return True

    def _plain(self, node: onnx.NodeProto, reads: list[str]) -> None:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for slot, name in enumerate(reads):
            new.input[slot] = name
            if name in self.stored and name not in self.constants:
                self.constants[name] = self.stored[name].value
        self.items.append(Plain(new))
        grid = self.grids.get(reads[0]) or self.still.get(reads[0]) if reads else None
        if grid is not None and (node.op_type in ON_THE_GRID or self._pads_with_zero(node, reads)):
            self.still |= {name: grid for name in node.output if name}

    def _pads_with_zero(self, node: onnx.NodeProto, reads: list[str]) -> bool:
        if node.op_type != "Pad" or attribute(node, "mode", b"constant") != b"constant":
            return node.op_type == "Pad"
        fill = self._value(reads[2]) if len(reads) > 2 and reads[2] else np.zeros(1)
        return fill is not None and not fill.any()


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    known = [value for value in (*graph.value_info, *graph.input) if value.type.tensor_type.HasField("shape")]
    return {value.name: len(value.type.tensor_type.shape.dim) for value in known}
