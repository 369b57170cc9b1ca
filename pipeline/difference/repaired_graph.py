"""Repairs a copy of B: puts A's operators, another grid, or a direct connection in the place of a fault."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from calibration.grid import ActivationGrid
from pipeline.difference.channelwise_fit import ChannelAffine
from pipeline.difference.place import Array, Sides, real_proto
from pipeline.difference.real_graph import RealNode


@dataclass(frozen=True)
class RepairedGraph:
    """A copy of B, and how many repairs it has."""

    sides: Sides
    rescaled: Mapping[str, ChannelAffine]
    model: onnx.ModelProto
    repairs: int = 0

    @classmethod
    def of(cls, sides: Sides, rescaled: Mapping[str, ChannelAffine]) -> "RepairedGraph":
        """Begin with B as it is."""
        model = onnx.ModelProto()
        model.CopyFrom(sides.b.model)
        return cls(sides, rescaled, model)

    def with_operators(self, tensor: str, from_picture: bool = False) -> "RepairedGraph | None":
        """Let A's operators and constants compute a matched tensor from the matched tensors before it.

        from_picture: from the picture on, whatever B has in between. None where A's tensor has no operators.
        """
        theirs = self.sides.matching.names.get(tensor)
        if theirs is None or theirs not in self.sides.b_values:
            return None
        nodes, given = self.sides.operators_before(tensor, from_picture)
        changed, added = self._next(), []
        prefix = f"repair{changed.repairs}"
        own = {
            name: f"{prefix}/{name}" for node in nodes for name in (*node.proto.output, *node.inputs) if name
        }
        for name in given:
            added += self._brought(name, own[name])
        for node in nodes:
            added.append(_renamed(node, own))
        for name in {name for node in nodes for name in node.inputs} & self.sides.a.constants.keys():
            value = np.asarray(self.sides.a.constants[name])
            changed.model.graph.initializer.append(numpy_helper.from_array(value, own[name]))
        added += self._handed_on(tensor, own[tensor], theirs, prefix)
        changed._put_in_place(theirs, added)
        return changed

    def with_grid(self, written: str, grid: ActivationGrid | None) -> "RepairedGraph":
        """Give B's quantisers of a tensor one grid on both sides; None: that of QuantizeLinear."""
        changed = self._next()
        quantised = {}
        for node in changed.model.graph.node:
            if node.op_type == "QuantizeLinear" and node.input[0] == written:
                if grid is not None:
                    node.input[1:] = changed._constants(node.output[0], grid.scale, grid.zero_point)
                quantised[node.output[0]] = list(node.input[1:])
        for node in changed.model.graph.node:
            if node.op_type == "DequantizeLinear" and node.input[0] in quantised:
                node.input[1:] = quantised[node.input[0]]
        return changed

    def with_direct_readers(self, tensor: str) -> "RepairedGraph":
        """Let B's operators read a matched tensor itself, without B's own operators in between."""
        theirs = self.sides.matching.names[tensor]
        between = set(self.sides.read_elsewhere(tensor))
        for name in tuple(between):
            between |= {grid.read for grid in self.sides.b.all_grids.get(name, ())}
        changed = self._next()
        for node in changed.model.graph.node:
            for slot, name in enumerate(node.input):
                if name in between:
                    node.input[slot] = theirs
        return changed

    def with_shift(self, tensor: str, shift: Array) -> "RepairedGraph":
        """Add `shift`, a value a channel, to B's tensor."""
        theirs = self.sides.matching.names[tensor]
        values = self.sides.b_values[theirs]
        changed = self._next()
        before = f"{theirs}/before{changed.repairs}"
        affine = ChannelAffine(np.ones_like(shift), shift)
        changed._put_in_place(theirs, _affine(affine, before, theirs, values.ndim))
        return changed

    def _next(self) -> "RepairedGraph":
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        return replace(self, model=model, repairs=self.repairs + 1)

    def _constants(self, tensor: str, *values: object) -> list[str]:
        names = []
        for number, value in enumerate(values):
            names.append(f"repair{self.repairs}/{tensor}/{number}")
            self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), names[-1]))
        return names

    def _brought(self, name: str, to: str) -> list[onnx.NodeProto]:
        """Return operators that bring B's tensor into the values and type that A's operators read."""
        sides = self.sides
        if name not in sides.matching.names:
            return [helper.make_node("Identity", [sides.b.input], [to])]
        theirs = sides.matching.names[name]
        grid = sides.b.grids.get(theirs)
        source = theirs if grid is None else grid.read
        kind = helper.np_dtype_to_tensor_dtype(sides.a_values[name].dtype)
        nodes = [helper.make_node("Cast", [source], [f"{to}/cast"], to=kind)]
        affine = self.rescaled.get(name)
        if affine is None:
            return [*nodes, helper.make_node("Identity", [f"{to}/cast"], [to])]
        inverse = ChannelAffine(1 / affine.gain, -affine.shift / affine.gain)
        return [*nodes, *_affine(inverse, f"{to}/cast", to, sides.a_values[name].ndim)]

    def _handed_on(self, tensor: str, source: str, theirs: str, prefix: str) -> list[onnx.NodeProto]:
        """Return operators that give B's readers what A computes, in their gains and type."""
        affine, nodes, ready = self.rescaled.get(tensor), [], source
        if affine is not None:
            ready = f"{prefix}/scaled"
            nodes = _affine(affine, source, ready, self.sides.a_values[tensor].ndim)
        kind = helper.np_dtype_to_tensor_dtype(self.sides.b_values[theirs].dtype)
        return [*nodes, helper.make_node("Cast", [ready], [theirs], to=kind)]

    def _put_in_place(self, tensor: str, added: list[onnx.NodeProto]) -> None:
        """Let `added` compute a tensor in the place of the node that does, which stays without readers."""
        for node in self.model.graph.node:
            for slot, name in enumerate(node.output):
                if name == tensor:
                    node.output[slot] = f"{tensor}/before{self.repairs}"
        self.model.graph.node.extend(added)
        _sort(self.model.graph)


def _renamed(node: RealNode, own: Mapping[str, str]) -> onnx.NodeProto:
    proto = real_proto(node)
    for names in (proto.input, proto.output):
        for slot, name in enumerate(names):
            names[slot] = own.get(name, name)
    proto.name = own[node.output]
    return proto


def _affine(affine: ChannelAffine, source: str, to: str, dimensions: int) -> list[onnx.NodeProto]:
    """Return nodes for source * gain + shift, channel by channel."""
    shape = (1, -1, *([1] * (dimensions - 2)))
    nodes, read = [], source
    for operator, values in (("Mul", affine.gain), ("Add", affine.shift)):
        constant, made = f"{to}/{operator}", to if operator == "Add" else f"{to}/product"
        tensor = numpy_helper.from_array(values.astype(np.float32).reshape(shape), constant)
        nodes.append(helper.make_node("Constant", [], [constant], value=tensor))
        nodes.append(helper.make_node(operator, [read, constant], [made]))
        read = made
    return nodes


def _sort(graph: onnx.GraphProto) -> None:
    """Put the nodes into an order in which each reads what nodes before it compute."""
    made_by = {name: at for at, node in enumerate(graph.node) for name in node.output if name}
    nodes, done, order = list(graph.node), set[int](), list[int]()

    def needed(at: int) -> list[int]:
        return [made_by[name] for name in nodes[at].input if name in made_by and made_by[name] not in done]

    for start in range(len(nodes)):
        waiting = [start]
        while waiting:
            if waiting[-1] in done:
                waiting.pop()
            elif missing := needed(waiting[-1]):
                waiting += missing
            else:
                done.add(waiting[-1])
                order.append(waiting.pop())
    copies = [onnx.NodeProto.FromString(nodes[at].SerializeToString()) for at in order]
    del graph.node[:]
    graph.node.extend(copies)
