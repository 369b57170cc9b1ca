"""Operators that move or pick integers between a QuantizeLinear and a DequantizeLinear.

A Transpose, Slice or MaxPool of integers is the same operator on the dequantised numbers. Each is
written between a DequantizeLinear and a QuantizeLinear of the same grid, which changes no value. A Clip
behind a QuantizeLinear, as Brevitas and torch write fewer bits and narrow ranges, is one in front of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.quantised.refusal import NoQdqForm

MOVES = frozenset(
    {
        "MaxPool",
        "GlobalMaxPool",
        "Transpose",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Identity",
        "Slice",
    }
    | {"Split", "Gather", "Concat", "Pad", "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Dropout"}
)


def _picks(node: onnx.NodeProto) -> bool:
    """Whether it is a Resize to the nearest pixel; others compute new values."""
    return node.op_type == "Resize" and attribute(node, "mode", b"nearest") == b"nearest"


@dataclass(frozen=True)
class _Grid:
    """Scale and zero point, by the names of tensors."""

    scale: str
    zero: str


def write_moves_as_qdq(model: onnx.ModelProto) -> None:
    """Let only DequantizeLinear read what a QuantizeLinear writes. Raises NoQdqForm for what computes."""
    writer = _MoveWriter(model)
    nodes = [new for node in model.graph.node for new in writer.written(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.node.extend(writer.outputs())


class _MoveWriter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.grids: dict[str, _Grid] = {}
        self.rounds: dict[str, str] = {}
        """By integers: the tensor that a QuantizeLinear rounds."""

    def written(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        if node.op_type == "QuantizeLinear" and node.input[0] not in self.constants:
            self.grids[node.output[0]] = _Grid(node.input[1], node.input[2])
            self.rounds[node.output[0]] = node.input[0]
        reads = [name for name in node.input if name in self.grids]
        if not reads or node.op_type == "DequantizeLinear":
            yield node
            return
        if node.op_type == "Clip" and node.input[0] in self.rounds:
            yield from self._clipped_before(node, self.grids[node.input[0]])
            return
        if node.op_type not in MOVES and not _picks(node):
            raise NoQdqForm(node, "computes with integers, and ONNX does not say on which grid")
        grid = self.grids[reads[0]]
        if any(not self._same(grid, self.grids[name]) for name in reads):
            raise NoQdqForm(node, "joins integers of different grids")
        yield from self._around(node, grid)

    def outputs(self) -> Iterator[onnx.NodeProto]:
        """Dequantise what leaves the graph as integers."""
        for value in self.model.graph.output:
            grid = self.grids.get(value.name)
            if grid is not None:
                real = f"{value.name}/in_numbers"
                inputs = [value.name, grid.scale, grid.zero]
                yield helper.make_node("DequantizeLinear", inputs, [real], f"{real}/DQ")
                value.name = real
                value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT

    def _around(self, node: onnx.NodeProto, grid: _Grid) -> Iterator[onnx.NodeProto]:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for slot, name in enumerate(node.input):
            if name in self.grids:
                new.input[slot] = f"{node.output[0]}/operand_{slot}"
                inputs = [name, grid.scale, grid.zero]
                yield helper.make_node("DequantizeLinear", inputs, [new.input[slot]], f"{new.input[slot]}/DQ")
        if node.op_type == "Pad":
            self._fill_with_numbers(node, new, grid)
        new.output[:] = [f"{name}/real" if name else "" for name in node.output]
        yield new
        for name in filter(None, node.output):
            self.grids[name] = grid
            inputs = [f"{name}/real", grid.scale, grid.zero]
            yield helper.make_node("QuantizeLinear", inputs, [name], f"{name}/Q")

    def _fill_with_numbers(self, node: onnx.NodeProto, new: onnx.NodeProto, grid: _Grid) -> None:
        """Dequantise the value that a Pad fills with; 0 if it has none."""
        given = node.input[2] if len(node.input) > 2 else ""
        needed = [grid.scale, grid.zero, *([given] if given else [])]
        if not all(name in self.constants for name in needed):
            raise NoQdqForm(node, "computes what it fills with")
        scale, zero, *fill = (numpy_helper.to_array(self.constants[name]).ravel() for name in needed)
        integer = int(fill[0][0]) if fill else 0
        value = np.array((integer - int(zero[0])) * float(scale[0]), np.float32)
        name = f"{node.output[0]}/fill"
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        new.input[:] = [*new.input[:2], name, *new.input[3:]]

    def _clipped_before(self, node: onnx.NodeProto, grid: _Grid) -> Iterator[onnx.NodeProto]:
        """Bound the numbers that are rounded to those that the bounds of their integers stand for."""
        given = [name for name in node.input[1:] if name]
        known = [name in self.constants for name in (grid.scale, grid.zero, *given)]
        scale, zero = (self.constants.get(name) for name in (grid.scale, grid.zero))
        if not all(known) or scale is None or zero is None or np.prod(scale.dims, dtype=int) != 1:
            raise NoQdqForm(node, "bounds integers by what is not known, or of several scales")
        step, middle = (numpy_helper.to_array(one).ravel()[0] for one in (scale, zero))
        bounds: list[str] = []
        for name in node.input[1:]:
            bounds.append(f"{node.output[0]}/bound_{len(bounds)}" if name else "")
            if name:
                integer = int(numpy_helper.to_array(self.constants[name]).ravel()[0])
                value = np.array((integer - int(middle)) * float(step), np.float32)
                self.model.graph.initializer.append(numpy_helper.from_array(value, bounds[-1]))
        output, real = node.output[0], f"{node.output[0]}/real"
        yield helper.make_node("Clip", [self.rounds[node.input[0]], *bounds], [real], node.name or output)
        yield helper.make_node("QuantizeLinear", [real, grid.scale, grid.zero], [output], f"{output}/Q")
        self.grids[output], self.rounds[output] = grid, real

    def _same(self, one: _Grid, other: _Grid) -> bool:
        pairs = (one.scale, other.scale), (one.zero, other.zero)
        return one == other or all(self._equal(a, b) for a, b in pairs)

    def _equal(self, one: str, other: str) -> bool:
        if one not in self.constants or other not in self.constants:
            return False
        first, second = (numpy_helper.to_array(self.constants[name]).ravel() for name in (one, other))
        return bool(np.array_equal(first, second))
