"""One place in both networks: A's operators, computed on the inputs of B's operators."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import attribute
from pipeline.difference.decibels import ratio_db
from pipeline.difference.matching import Matching
from pipeline.difference.real_graph import LAYERS, RealGraph, RealNode, evaluate_nodes

Array = NDArray[Any]
Values = Mapping[str, Array]


POOLINGS = ({"GlobalAveragePool", "GlobalMaxPool"}, {"AveragePool", "MaxPool"})
"""Operators that are taken for each other."""


@dataclass(frozen=True)
class GraphPlace:
    """The operators of A between matched tensors, the values that B has there, and what B computes."""

    graph: RealGraph
    nodes: tuple[RealNode, ...]
    """Operators of A, in order; the last one computes the matched tensor."""
    given: Values
    """What A's operators read: B's values."""
    expected: Array
    """What B computes of them."""
    counterpart: RealNode | None
    """B's operator that computes the same tensor."""
    reads_own: bool = False
    """Whether A's operators are given A's values: B's constants do not belong to them."""

    @property
    def node(self) -> RealNode:
        """Return the operator that computes the matched tensor."""
        return self.nodes[-1]

    @property
    def layer(self) -> RealNode | None:
        """Return the only operator, if it has weights."""
        return self.node if len(self.nodes) == 1 and self.node.operator in LAYERS else None

    def run(self) -> Array:
        """Return what A computes here."""
        return self.run_nodes(tuple(real_proto(node) for node in self.nodes))

    def run_nodes(self, nodes: tuple[onnx.NodeProto, ...], changed: Values | None = None) -> Array:
        """Return what other operators compute here, with some constants or inputs `changed`."""
        values = {**self.graph.constants, **self.given, **(changed or {})}
        return evaluate_nodes(self.graph.model, list(nodes), values, (self.node.output,))[0]

    def agreement(self, found: Array) -> float:
        """Return how far `found` agrees with what B computes, in dB; shapes that differ do not."""
        return ratio_db(self.expected, found) if found.shape == self.expected.shape else -np.inf

    def with_given(self, given: Values) -> "GraphPlace":
        """Return the same place with other inputs."""
        return replace(self, given={**self.given, **given})


def real_proto(node: RealNode) -> onnx.NodeProto:
    """Return the node with the real-valued tensors as inputs, without the quantisers in between."""
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    del proto.input[:]
    proto.input.extend(node.inputs)
    return proto


@dataclass(frozen=True)
class Sides:
    """Two networks, the values of their tensors on the same pictures, and which tensors are the same."""

    a: RealGraph
    b: RealGraph
    a_values: Values
    b_values: Values
    matching: Matching
    reformed: frozenset[str] = frozenset()
    """A's tensors that B holds in another form, such as NHWC. Their readers are computed from in front of
    them."""

    def without(self, tensor: str) -> "Sides":
        """Return the sides with one tensor no longer compared, because B holds it in another form."""
        names = {ours: theirs for ours, theirs in self.matching.names.items() if ours != tensor}
        return replace(self, matching=replace(self.matching, names=names), reformed=self.reformed | {tensor})

    def read_value(self, tensor: str) -> Array:
        """Return what B's operators read of B's tensor: behind its quantisers, if it has some."""
        grid = self.b.grids.get(tensor)
        return self.b_values[grid.read if grid is not None else tensor]

    def place(self, tensor: str) -> GraphPlace:
        """Return the place where A computes a matched tensor."""
        theirs = self.matching.names[tensor]
        node = self.a.producer(tensor)
        assert node is not None  # noqa: S101 - matched tensors are computed
        other = self.b.producer(theirs)
        expected = self.b_values[theirs]
        direct = other is not None and not self.reformed & set(node.inputs)
        if direct and other and _alike(node, other, self.a, self.b) and not self._skips(node, other):
            given = dict(self._given_by(node, other))
            if all(given[n].shape == self.a_values.get(n, given[n]).shape for n in given):
                return GraphPlace(self.a, (node,), given, expected, other)
        nodes, given = self._back_to_matched(node)
        return GraphPlace(self.a, nodes, given, expected, other)

    def read_elsewhere(self, tensor: str) -> list[str]:
        """Return B's own tensors, unmatched, that B's operators read where A's read `tensor`."""
        theirs, found = self.matching.names[tensor], []
        matched = set(self.matching.names.values())
        for node in self.a.nodes:
            if tensor not in node.inputs or node.output not in self.matching.names:
                continue
            other = self.b.producer(self.matching.names[node.output])
            if other is None or other.operator != node.operator:
                continue
            for name, read in zip(node.inputs, other.inputs, strict=False):
                known = read == theirs or read in matched or read not in self.b_values
                if name == tensor and not known and read not in found:
                    found.append(read)
        return found

    def first_layer(self, tensor: str) -> GraphPlace:
        """Return the place of a layer that reads the picture, given what A's layer reads itself."""
        node, theirs = self.a.producer(tensor), self.matching.names[tensor]
        assert node is not None  # noqa: S101 - matched tensors are computed
        given = {name: self.a_values[name] for name in node.inputs if name and name not in self.a.constants}
        return GraphPlace(
            self.a, (node,), given, self.b_values[theirs], self.b.producer(theirs), reads_own=True
        )

    def _skips(self, node: RealNode, other: RealNode) -> bool:
        """Whether B's operator reads a tensor that A computes before the one that A's operator reads."""
        ours = [n for n in node.inputs if n and n not in self.a.constants]
        wanted = {self.matching.names.get(name) for name in ours}
        matched = set(self.matching.names.values())
        return any(name in matched and name not in wanted for name in other.inputs)

    def _given_by(self, node: RealNode, other: RealNode) -> list[tuple[str, Array]]:
        """Return A's computed inputs with the values that B's operator reads for them."""
        ours = [n for n in node.inputs if n and n not in self.a.constants]
        theirs = [
            self.b_values[read] if read in self.b_values else self.b_values[name]
            for name, read in zip(other.inputs, other.reads, strict=True)
            if name and name not in self.b.constants
        ]
        pairs = list(zip(ours, theirs, strict=True))
        if node.operator in ("Add", "Mul") and len(pairs) == 2 and self._swapped(node, other):
            return [(pairs[0][0], pairs[1][1]), (pairs[1][0], pairs[0][1])]
        return pairs

    def _swapped(self, node: RealNode, other: RealNode) -> bool:
        """Whether B's operator has the counterparts of A's operands in the other order."""
        names = self.matching.names
        return names.get(node.inputs[0]) == other.inputs[1] and names.get(node.inputs[0]) != other.inputs[0]

    def is_rectified(self, tensor: str) -> bool:
        """Whether all that A computes of a tensor is behind a ReLU."""
        readers = [node for node in self.a.nodes if tensor in node.inputs]
        return bool(readers) and all(node.operator in ("Relu", "Clip") for node in readers)

    def operators_before(
        self, tensor: str, from_picture: bool = False
    ) -> tuple[tuple[RealNode, ...], dict[str, Array]]:
        """Return A's operators from matched tensors, or from the picture, to one, and B's values of these."""
        node = self.a.producer(tensor)
        assert node is not None  # noqa: S101 - matched tensors are computed
        return self._back_to_matched(node, from_picture)

    def _back_to_matched(
        self, node: RealNode, from_picture: bool = False
    ) -> tuple[tuple[RealNode, ...], dict[str, Array]]:
        needed: list[RealNode] = []
        given: dict[str, Array] = {}
        waiting, seen = [node], set()
        while waiting:
            one = waiting.pop()
            if one.output in seen:
                continue
            seen.add(one.output)
            needed.append(one)
            for name in one.inputs:
                if not name or name in self.a.constants or name in given:
                    continue
                if name in self.matching.names and not from_picture:
                    given[name] = self.read_value(self.matching.names[name])
                elif (before := self.a.producer(name)) is not None:
                    waiting.append(before)
                else:
                    given[name] = self.b_values[self.b.input]
        order = {one.output: number for number, one in enumerate(self.a.nodes)}
        return tuple(sorted(needed, key=lambda one: order[one.output])), given


def _alike(node: RealNode, other: RealNode, a: RealGraph, b: RealGraph) -> bool:
    """Whether two operators are of one kind, or one is mistaken for it, and read as many computed tensors."""
    ours = [n for n in node.inputs if n and n not in a.constants]
    theirs = [n for n in other.inputs if n and n not in b.constants]
    same = node.operator == other.operator or {node.operator, other.operator} in POOLINGS
    return same and len(ours) == len(theirs) and bool(ours)


def window_pads(node: onnx.NodeProto) -> list[int]:
    """Return a window's pads, [0, ...] if it has none."""
    sides = 2 * max(1, len(attribute(node, "kernel_shape", [])))
    return list(attribute(node, "pads", [0] * sides))
