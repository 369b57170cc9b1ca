"""Which channels have to be scaled by the same factor for the network to compute the same function.

Relu and max pooling commute with a positive factor a channel; a convolution can undo the factors of its input
and make those of its output. An Add ties the channels of its operands together, so a whole residual stream
shares its factors; shortcut A's zero padding shifts them.
"""

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import OnnxGraph, attribute
from calibration.placement import is_residual_add

ELEMENTWISE = frozenset({"Relu", "MaxPool", "GlobalAveragePool"})


class ChannelGroups:
    """`of(tensor)` gives int [C]: each channel's group number, 0 for channels that must keep their scale."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._parent = [0]
        self._ids: dict[str, list[int]] = {}
        for node in graph.nodes:
            self._visit(graph, node)
        self._freeze(graph.model.graph.output[0].name)
        roots = sorted({self._find(i) for ids in self._ids.values() for i in ids} - {self._find(0)})
        self._number = {self._find(0): 0} | {root: i + 1 for i, root in enumerate(roots)}
        self.count = len(self._number)

    def of(self, tensor: str, channels: int) -> NDArray[np.intp]:
        """The group of each of the tensor's channels."""
        ids = self._ids.get(tensor, [0] * channels)
        return np.array([self._number[self._find(i)] for i in ids], np.intp)

    def _visit(self, graph: OnnxGraph, node: onnx.NodeProto) -> None:
        inputs, x, output = list(node.input), node.input[0] if node.input else "", node.output[0]
        known = x in self._ids
        if node.op_type == "Conv" and attribute(node, "group", 1) == 1:
            weight = graph.constant(inputs[1])
            self._ids[output] = [self._new() for _ in range(0 if weight is None else len(weight))]
        elif node.op_type == "Gemm" and known:
            pass  # compensates its input's factors and adds none
        elif known and (node.op_type in ELEMENTWISE or _keeps_channels(graph, node)):
            self._ids[output] = self._ids[x]
        elif known and node.op_type == "Pad" and (grown := _grown_channels(graph, node)) is not None:
            before, after = ([self._new() for _ in range(count)] for count in grown)
            self._ids[output] = [*before, *self._ids[x], *after]
        elif is_residual_add(graph, node) and all(name in self._ids for name in inputs):
            for a, b in zip(*(self._ids[name] for name in inputs), strict=True):
                self._union(a, b)
            self._ids[output] = self._ids[x]
        else:
            for name in inputs:
                self._freeze(name)

    def _new(self) -> int:
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def _find(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def _union(self, a: int, b: int) -> None:
        self._parent[self._find(a)] = self._find(b)

    def _freeze(self, tensor: str) -> None:
        for i in self._ids.get(tensor, []):
            self._union(i, 0)


def _keeps_channels(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    """Whether a node leaves axis 1 as it is: spatial slices and means, and flattening behind them."""
    if node.op_type == "Slice" and len(node.input) > 3:
        axes = graph.folded(node.input[3])
        return axes is not None and set(axes.tolist()) <= {2, 3}
    if node.op_type == "ReduceMean":
        return set(attribute(node, "axes", [])) == {2, 3}
    before = graph.producer(node.input[0]) if node.input else None
    behind_mean = before is not None and before.op_type in ("GlobalAveragePool", "ReduceMean")
    return node.op_type == "Flatten" and behind_mean


def _grown_channels(graph: OnnxGraph, node: onnx.NodeProto) -> tuple[int, int] | None:
    """How many channels a Pad puts before and behind those of its input."""
    pads = graph.folded(node.input[1])
    return None if pads is None or len(pads) != 8 else (int(pads[1]), int(pads[5]))
