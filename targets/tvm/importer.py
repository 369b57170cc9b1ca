"""From the Q/DQ ONNX to the integer graph, with islands of float operators where there is no integer form."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import OnnxGraph
from calibration.pointwise import Elementwise
from targets.errors import EngineError, NoIntegerForm
from targets.tvm import arithmetic, channelwise, convert, functions, joins, moves, pools, resizes
from targets.tvm.boundaries import BOUNDARIES, Boundaries, no_integer_form
from targets.tvm.bounded_read import array, attributes, fold, label, read_model
from targets.tvm.integer_graph import Image, IntegerGraph, Island
from targets.tvm.islands import GrowingGraph, Shapes
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.float_boundary import Dequantise
from targets.tvm.operators.window_pooling import AveragePool
from targets.tvm.tensors import Dense, Tensor
from targets.tvm.values import Constant, MovedValues, Pending, Quantized, Raw, Real, SameGrid, Value, Weights

Array = NDArray[Any]

_LARGEST_IMAGE = 1 << 26

READERS = {
    **convert.READERS,
    **arithmetic.READERS,
    **channelwise.READERS,
    **joins.READERS,
    **pools.READERS,
    **resizes.READERS,
}
"""Translations to integers by ONNX operator. All others run in float, except for those at BOUNDARIES."""

READ_WIDE = frozenset(
    {"Conv", "Gemm", "Add", "Sub", "Mul", "Div", "AveragePool", "GlobalAveragePool", "ReduceMean", "Relu"}
    | {"BatchNormalization", "Clip", "Concat", "Flatten", "Reshape", "Squeeze", "Identity", "Dropout"}
)
"""Operators that take activations of 16 bits; others compute them in float."""


def import_graph(path: Path) -> IntegerGraph:
    """Read the Q/DQ ONNX at `path`. Raises EngineError naming the node that cannot be compiled."""
    return _Importer(read_model(path)).run()


class _Importer:
    """Walks the nodes in order and keeps each tensor's value."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.values: dict[str, Value] = {i.name: Constant(array(i)) for i in model.graph.initializer}
        self.pixels, self.image = _image(model)
        self.values[self.pixels] = Raw(None)
        self.growing = GrowingGraph()
        self.boundaries = Boundaries(self.image, self.growing)
        self.producers = {name: node for node in model.graph.node for name in node.output}
        self.floats: dict[str, Dense] = {}
        self.chains = Elementwise(OnnxGraph(model)).chains
        self.inside = {name for chain in self.chains.values() for name in chain.inside}

    @cached_property
    def shapes(self) -> Shapes:
        """Only float operators need them."""
        return Shapes(self.model)

    def run(self) -> IntegerGraph:
        for node in self.model.graph.node:
            self._node(node)
        if len(self.model.graph.output) != 1:
            raise EngineError(
                f"The model has {len(self.model.graph.output)} outputs; it needs one, the logits."
            )
        logits = self._logits(self.model.graph.output[0].name)
        operators = self.growing.finish(logits, self.model)
        for op in operators:
            if isinstance(op, Island):
                from targets.tvm.floats.relax import program

                program(op)  # now, so that a node that cannot be compiled is an error here
        image = next((op.output for op in operators if isinstance(op, Image)), self.image)
        return IntegerGraph(operators, image, logits, self.pixels)

    def _logits(self, name: str) -> Tensor | Dense:
        match self.values.get(name):
            case Pending(real=real, shape=(1, 1, _)) if real is not None:
                return self._sums(real, name).output
            case None | Constant() | Weights():
                raise EngineError("The model's output does not depend on the image.")
        dense = self._as_float(name)
        if dense.dtype != "float32":
            raise EngineError(f"The model's output is {dense.dtype}; it has to be float32, the logits.")
        return dense

    def _node(self, node: onnx.NodeProto) -> None:
        if node.output and node.output[0] in self.inside | self.chains.keys() and self._of_sums(node):
            return
        constants = {name: v.value for name in node.input if isinstance(v := self.values.get(name), Constant)}
        folded = self._shape(node) if node.op_type == "Shape" else fold(node, constants)
        if folded is not None:
            self.values[node.output[0]] = Constant(folded)
            return
        if node.domain not in ("", "ai.onnx"):
            raise EngineError(f"{label(node)} is not a standard operator but one of {node.domain!r}.")
        try:
            found = self._integer(node)
            self.values |= {name: value for name, value in zip(node.output, found, strict=False) if name}
        except NoIntegerForm as reason:
            if (sums := self._shuffled_sums(node)) is not None:
                self.floats[node.output[0]] = sums
            else:
                self._float(node, reason)
            self.values |= {name: Real(self.floats[name]) for name in node.output if name}

    def _of_sums(self, node: onnx.NodeProto) -> bool:
        """Whether `node` belongs to a function of a convolution's sum, of which the last one has the value.

        A chain whose convolution is not an integer one, or is needed otherwise, is forgotten.
        """
        end = next(e for e, chain in self.chains.items() if node.output[0] in (e, *chain.inside))
        chain = self.chains[end]
        match self.values.get(chain.source):
            case Pending(real=Conv()) as sums:
                if node.output[0] == end:
                    self.values[end] = convert.applied(sums, chain.function)
                return True
        del self.chains[end]
        self.inside -= set(chain.inside)
        return False

    def _integer(self, node: onnx.NodeProto) -> tuple[Value, ...]:
        """Return a node's value. Moved values are copied where a node needs them in their new place."""
        try:
            return (self._read(node),)
        except NoIntegerForm:
            by_name = {name: self.values[name] for name in node.input if name}
            if (moved := moves.read(node, by_name)) is not None:
                return moved
            waiting = {name: value for name, value in by_name.items() if isinstance(value, MovedValues)}
            if not waiting:
                raise
        for name, value in waiting.items():
            self.values[name], pick = moves.at_rest(label(self.producers[name]), name, value)
            if pick is not None:
                self.growing.append(pick)
        return (self._read(node),)

    def _read(self, node: onnx.NodeProto) -> Value:
        operands = [self.values[name] for name in node.input if name]
        if node.op_type in BOUNDARIES:
            return self.boundaries.read(node, operands)
        by_name = {name: self.values[name] for name in node.input if name}
        if (function := functions.read(node, by_name)) is not None:
            return function
        wide = any(isinstance(x, Quantized) and x.tensor.wide for x in operands)
        if node.op_type not in READERS or (wide and node.op_type not in READ_WIDE):
            raise no_integer_form(node, operands)
        found = READERS[node.op_type](label(node), operands, attributes(node))
        if not isinstance(found, SameGrid):
            return found
        operator = found.finish(f"{node.output[0]} in integers")  # the float tensor has the node's name
        self.growing.append(operator)
        return Quantized(operator.output, found.source.scale)

    def _shape(self, node: onnx.NodeProto) -> Array:
        """A Shape node's value: shapes are known, and the batch is one image."""
        sizes = np.array(self.shapes.find(node.input[0], node).shape, np.int64)
        limits = attributes(node)
        return sizes[limits.get("start", 0) : limits.get("end", len(sizes))]

    def _float(self, node: onnx.NodeProto, reason: NoIntegerForm) -> None:
        """Compute the node in float. Raises EngineError if it cannot run there either."""
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise EngineError(f"{reason} It cannot run in float either: it is control flow.")
        operands = {name: self._operand(name) for name in node.input if name}
        results = [self.shapes.find(name, node) for name in node.output if name]
        self.growing.join(node, operands, results)
        self.floats |= {dense.name: dense for dense in results}

    def _operand(self, name: str) -> Dense | Array:
        match self.values[name]:
            case Constant(value):
                return value
            case Weights(values, scales):
                each = scales.reshape(-1, *[1] * (values.ndim - 1))
                return (values * each.astype(np.float32)).astype(np.float32)
        return self._as_float(name)

    def _as_float(self, name: str) -> Dense:
        """The tensor `name` of the ONNX graph in float, computed in float where it has no integers."""
        if name not in self.floats:
            self.floats[name] = self._made_float(name)
        return self.floats[name]

    def _made_float(self, name: str) -> Dense:
        match self.values[name]:
            case Raw(None) if name == self.pixels:
                size = (1, self.image.height, self.image.width, self.image.channels)
                return Dense(name, size, "uint8")
            case Quantized(tensor, scale, stride=(1, 1)) as x:
                return self._dequantise(Dequantise(name, tensor, _planes(name, x.shape, x.flat), scale))
            case Pending(real=real) as p if real is not None:
                sums = self._sums(real, name).output
                dense = _planes(name, p.shape, p.flat)
                return self._dequantise(Dequantise(name, sums, dense, 1.0, real=True))
        node = self.producers[name]
        for inner in self.chains[name].inside if name in self.chains else ():
            self._float(self.producers[inner], NoIntegerForm(f"{label(node)} is read in float."))
            self.values[inner] = Real(self.floats[inner])
        self._float(node, NoIntegerForm(f"{label(node)} is read in float."))
        return self.floats[name]

    def _shuffled_sums(self, node: onnx.NodeProto) -> Dense | None:
        """Channels become pixels while a convolution's sums become numbers; None for another node."""
        match self.values.get(node.input[0]) if node.op_type == "DepthToSpace" else None:
            case Pending(real=real, shape=(height, width, channels)) if real is not None:
                known, name = attributes(node), node.output[0]
                block = known["blocksize"]
                if known.get("mode", b"DCR") == b"DCR" and channels % block**2 == 0:
                    size = (height * block, width * block, channels // block**2)
                    sums, dense = self._sums(real, name).output, _planes(name, size, False)
                    return self._dequantise(Dequantise(name, sums, dense, 1.0, real=True, block=block))
        return None

    def _sums(self, real: Conv | AveragePool, name: str) -> Conv | AveragePool:
        """Append the operator that writes its sums as numbers, for the tensor `name`."""
        named = replace(real, output=replace(real.output, name=f"{name} sums"))
        self.growing.append(named)
        return named

    def _dequantise(self, operator: Dequantise) -> Dense:
        self.growing.append(operator)
        return operator.output


def _image(model: onnx.ModelProto) -> tuple[str, Tensor]:
    """The name of the model's input, and the tensor that it becomes. Raises EngineError."""
    names = {i.name for i in model.graph.initializer}
    found = [i for i in model.graph.input if i.name not in names]
    if len(found) != 1 or found[0].type.tensor_type.elem_type != onnx.TensorProto.UINT8:
        raise EngineError("The model needs exactly one input, the image as uint8 [N, H, W, C].")
    size = [d.dim_value for d in found[0].type.tensor_type.shape.dim][1:]
    if len(size) != 3 or not all(d > 0 for d in size) or np.prod(size, dtype=object) > _LARGEST_IMAGE:
        raise EngineError(
            f"The image has shape [N, {', '.join(map(str, size))}]; H, W and C have to be known."
        )
    return found[0].name, Tensor(f"{found[0].name} in the arena", size[0], size[1], size[2], (0,))


def _planes(name: str, shape: tuple[int, int, int], flat: bool) -> Dense:
    height, width, channels = shape
    return Dense(name, (1, height * width * channels) if flat else (1, channels, height, width))
