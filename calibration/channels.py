"""Which channels have to be scaled by the same factor for the network to compute the same function.

A convolution can undo the factors of its input and make those of its output, a depthwise one too. An operator
on each channel alone through which a positive factor passes, such as Relu and pooling, keeps factors. An Add
ties the channels of its operands together, so a whole residual stream shares its factors; shortcut A's zero
padding shifts them. A gate multiplies and keeps its own scale. In front of all other operators, such as
HardSwish and the upper bound of ReLU6, channels have to keep their scale. Behind a HardSwish or SiLU of a
convolution new factors begin: a multiplication there, one number a channel, costs engines nothing.
"""

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import ModelError
from calibration.onnx_graph import OnnxGraph, attribute
from calibration.placement import is_residual_add
from calibration.pointwise import Elementwise
from calibration.weight_layers import ordered_weight

HOMOGENEOUS = frozenset(
    {"Relu", "LeakyRelu", "PRelu", "Abs", "Neg", "Identity", "Dropout", "Resize"}
    | {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)
"""f(e x) = e f(x) for a positive factor e of a channel."""
SPATIAL = ({2, 3}, {-2, -1})

Ids = list[int]


class ChannelGroups:
    """`of(tensor)` gives int [C]: each channel's group number, 0 for channels that must keep their scale."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self._parent = [0]
        self._ids: dict[str, Ids] = {}
        self._chains = Elementwise(graph).chains
        self.begun: list[str] = []
        """Tensors behind which factors begin: in front of them channels keep their scale."""
        for node in graph.nodes:
            self._visit(node)
        for output in graph.model.graph.output:
            self._freeze(output.name)
        roots = sorted({self._find(i) for ids in self._ids.values() for i in ids} - {self._find(0)})
        self._number = {self._find(0): 0} | {root: i + 1 for i, root in enumerate(roots)}
        self.count = len(self._number)

    def of(self, tensor: str, channels: int) -> NDArray[np.intp]:
        """The group of each of the tensor's channels, or of its values where maps have been flattened."""
        ids = self._ids.get(tensor, [0])
        each = np.array([self._number[self._find(i)] for i in ids], np.intp)
        return np.repeat(each, channels // len(ids))

    def channels_of(self, tensor: str) -> NDArray[np.intp]:
        """The group of each of the tensor's channels."""
        return self.of(tensor, len(self._ids.get(tensor, [0])))

    def _visit(self, node: onnx.NodeProto) -> None:
        if node.op_type in ("Conv", "Gemm"):
            try:
                outputs = len(ordered_weight(self._graph, node))
            except ModelError:  # computed weights
                outputs = 0
            if outputs:
                self._ids[node.output[0]] = [self._new() for _ in range(outputs)]
                return
        if node.op_type == "Shape":
            return  # it reads no value
        kept = [] if set(node.output) & self._chains.keys() else self._kept(node)
        if not kept:
            kept = self._begun(node)
            for name in node.input:
                self._freeze(name)
        self._ids |= dict(zip(node.output, kept, strict=False))

    def _begun(self, node: onnx.NodeProto) -> list[Ids]:
        """New factors behind a function of a convolution, which engines multiply before they round."""
        chain = self._chains.get(node.output[0]) if node.output else None
        if chain is None or not chain.function.is_unbounded or chain.source not in self._ids:
            return []
        self.begun.append(node.output[0])
        return [[self._new() for _ in self._ids[chain.source]]]

    def _kept(self, node: onnx.NodeProto) -> list[Ids]:
        """The groups of each output's channels; none for an operator whose inputs must keep their scale."""
        computed = [name for name in node.input if name and not self._graph.is_constant(name)]
        known = [self._ids[name] for name in computed if name in self._ids]
        if not known:
            return []
        if node.op_type in _JOINS:
            return _JOINS[node.op_type](self, node, known) if len(known) == len(computed) else []
        if node.op_type in _CHANGES:
            return _CHANGES[node.op_type](self, node, known[0])
        if node.op_type in ("Mul", "Div"):
            return known if len(known) == 1 and self._multiplies(node, known[0]) else []
        return known[:1] if node.op_type in HOMOGENEOUS or self._leaves_channels(node) else []

    def _multiplies(self, node: onnx.NodeProto, ids: Ids) -> bool:
        """Whether it is `ids` that a gate or a constant multiplies, and not one map for all channels."""
        return len(ids) > 1 and (node.op_type == "Mul" or node.input[0] in self._ids)

    def _tied(self, node: onnx.NodeProto, known: list[Ids]) -> list[Ids]:
        if not is_residual_add(self._graph, node) or len({len(ids) for ids in known}) > 1:
            return []
        for other in known[1:]:
            for a, b in zip(known[0], other, strict=True):
                self._union(a, b)
        return known[:1]

    def _joined(self, node: onnx.NodeProto, known: list[Ids]) -> list[Ids]:
        channels = attribute(node, "axis") in (1, -3) and len(known) == len(node.input)
        return [[i for ids in known for i in ids]] if channels else []

    def _padded(self, node: onnx.NodeProto, ids: Ids) -> list[Ids]:
        """Zeros around a map; channels that are added have factors of their own."""
        pads = self._graph.folded(node.input[1]) if len(node.input) > 1 else None
        value = self._graph.folded(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        if pads is None or len(pads) != 8 or (value is not None and value.any()):
            return []
        before, after = ([self._new() for _ in range(int(pads[at]))] for at in (1, 5))
        return [[*before, *ids, *after]]

    def _divided(self, node: onnx.NodeProto, ids: Ids) -> list[Ids]:
        if attribute(node, "axis", 0) not in (1, -3):
            return []
        given = self._graph.folded(node.input[1]) if len(node.input) > 1 and node.input[1] else None
        parts = len(node.output)
        sizes: Iterable[int] = [-(-len(ids) // parts)] * parts if given is None else given.tolist()
        ends = np.cumsum(list(sizes)).tolist()
        return [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def _chosen(self, node: onnx.NodeProto, ids: Ids) -> list[Ids]:
        """A Slice, of channels too."""
        given = [self._graph.folded(name) if name else None for name in node.input[1:]]
        if any(one is None for one in given):
            return []
        starts, ends, *rest = (one.tolist() for one in given if one is not None)
        axes = rest[0] if rest else list(range(len(starts)))
        steps = rest[1] if len(rest) > 1 else [1] * len(starts)
        if not set(axes) <= {1, 2, 3}:
            return []
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            ids = ids[start:end:step] if axis == 1 else ids
        return [ids]

    def _shuffled(self, node: onnx.NodeProto, ids: Ids) -> list[Ids]:
        """Channels that become the pixels of one channel have one factor."""
        parts = attribute(node, "blocksize") ** 2
        turned = attribute(node, "mode", b"DCR") == b"DCR"
        together = np.array(ids).reshape(parts, -1).T if turned else np.array(ids).reshape(-1, parts)
        for row in together.tolist():
            for other in row[1:]:
                self._union(row[0], other)
        return [[int(i) for i in together[:, 0]]]

    def _bounded(self, node: onnx.NodeProto, ids: Ids) -> list[Ids]:
        """A Clip that has no bound but zero is a Relu."""
        bounds = [self._graph.folded(name) if name else None for name in node.input[1:]]
        low = float(attribute(node, "min", -np.inf) if not bounds or bounds[0] is None else bounds[0])
        high = float(attribute(node, "max", np.inf) if len(bounds) < 2 or bounds[1] is None else bounds[1])
        return [ids] if low in (0, -np.inf) and high == np.inf else []

    def _leaves_channels(self, node: onnx.NodeProto) -> bool:
        """Whether a node goes over the image alone, or flattens it, channel after channel."""
        match node.op_type:
            case "ReduceMean" | "ReduceMax" | "Squeeze" | "Unsqueeze":
                return self._axes(node) in SPATIAL
            case "Flatten":
                return bool(attribute(node, "axis", 1) == 1)
            case "Reshape":
                shape = self._graph.folded(node.input[1])
                return shape is not None and len(shape) == 2 and shape[1] == -1
        return False

    def _axes(self, node: onnx.NodeProto) -> set[int]:
        given = self._graph.folded(node.input[1]) if len(node.input) > 1 and node.input[1] else None
        return set(attribute(node, "axes", []) if given is None else given.tolist())

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


_JOINS: dict[str, Callable[[ChannelGroups, onnx.NodeProto, list[Ids]], list[Ids]]] = {
    "Add": ChannelGroups._tied,
    "Concat": ChannelGroups._joined,
}
"""Operators on several tensors, all of whose groups have to be known."""
_CHANGES: dict[str, Callable[[ChannelGroups, onnx.NodeProto, Ids], list[Ids]]] = {
    "Clip": ChannelGroups._bounded,
    "DepthToSpace": ChannelGroups._shuffled,
    "Pad": ChannelGroups._padded,
    "Slice": ChannelGroups._chosen,
    "Split": ChannelGroups._divided,
}
"""Operators that choose, add or tie channels."""
