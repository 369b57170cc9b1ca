"""Activations that B computes at another place than A, as a fusion into the wrong operator does.

A computes activation(layer + skip). A tool that fuses the layer with the activation behind it, and leaves the
sum out, computes activation(layer) + skip. The activation then stands in front of the sum. It may be an
operator of B, or the range of a quantiser that begins at 0.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.difference.alternatives import ACTIVATIONS
from pipeline.difference.decibels import ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.grid_check import check_grid
from pipeline.difference.place import Array, Sides, real_proto
from pipeline.difference.real_graph import LAYERS, RealNode, TensorGrid, evaluate_nodes

SAME_DB = 50.0
"""What equal values agree to at least."""
NEAR = 2
"""How many operators a moved activation may have passed."""


def added_activation(sides: Sides, tensor: str, read: str) -> Discrepancy | None:
    """Name an activation that B has between A's `tensor` and its own tensor `read`, and that A has not there.

    None if B has another operator there, or one that changes nothing.
    """
    theirs, node = sides.matching.names[tensor], sides.b.producer(read)
    if node is None or node.operator not in ACTIVATIONS or node.inputs[0] != theirs:
        return None
    written, given = sides.b_values[theirs], sides.b_values[read]
    before = ratio_db(given, written)
    if before >= SAME_DB:
        return None
    values = {**sides.b.constants, theirs: written}
    after = ratio_db(given, evaluate_nodes(sides.b.model, [real_proto(node)], values, (node.output,))[0])
    own = next(_moved(sides, tensor, node.operator), None)
    if own is None:
        evidence = f"B has a {node.operator} behind this tensor, which A has not"
        remedy = f"Remove the {node.operator} from B, or look for a fusion that brings it in."
        return Discrepancy(FaultKind.ACTIVATION, tensor, evidence, before, after, remedy)
    return _fused(tensor, node.operator, own, before, after)


def fused_range(
    sides: Sides, tensor: str, grid: TensorGrid, wanted: Array, found: Discrepancy
) -> Discrepancy | None:
    """Return a range that begins at 0 as a ReLU in front of the operator that A's ReLU is behind; else None.

    found: the finding that the range cuts A's values `wanted`.
    """
    own = next(_moved(sides, tensor, "Relu"), None)
    if found.kind is not FaultKind.CLIPPED_RANGE or own is None or (grid.limits[0] != 0).any():
        return None
    written, read = sides.b_values[grid.written], sides.b_values[grid.read]
    rectified = np.maximum(wanted, 0)
    if check_grid(tensor, grid, written, read, rectified) is not None:
        return None
    return _fused(tensor, "Relu", own, ratio_db(wanted, read), ratio_db(read, rectified))


def without_moved(sides: Sides, findings: list[Discrepancy]) -> list[Discrepancy]:
    """Leave out that an activation is missing where another finding says that it was moved away."""
    moved = {
        name
        for one in findings
        if one.kind is FaultKind.FUSED
        for operator in ACTIVATIONS
        for name in _moved(sides, one.place, operator)
    }
    return [one for one in findings if one.kind is not FaultKind.ACTIVATION or one.place not in moved]


def operators_around(sides: Sides, tensor: str) -> list[str]:
    """Return A's matched tensors that operators without weights compute around one, in A's order.

    Where B lacks an activation, what reads it stands for it.
    """
    around = {node.output for nodes in (_behind(sides, tensor), _before(sides, tensor)) for node in nodes}
    found = {tensor, *around}
    for name in around - set(sides.matching.names):
        found |= {node.output for node in sides.a.nodes if name in node.inputs}
    lost = around - set(sides.matching.names)
    return [
        node.output
        for node in sides.a.nodes
        if node.output in found and (node.operator not in LAYERS or lost & set(node.inputs))
    ]


def _fused(tensor: str, operator: str, own: str, before: float, after: float) -> Discrepancy:
    evidence = f"B computes {operator} on this tensor, A on {own}: B has it on the other side of an operator"
    remedy = f"Keep the {operator} where A has it: turn this fusion off, or export without it."
    return Discrepancy(FaultKind.FUSED, tensor, evidence, before, after, remedy)


def _moved(sides: Sides, tensor: str, operator: str) -> Iterator[str]:
    """Yield A's tensors that this activation computes near `tensor`, with an operator in between."""
    for nodes in (_behind(sides, tensor), _before(sides, tensor)):
        for node in nodes:
            if node.operator == operator:
                yield node.output


def _behind(sides: Sides, tensor: str) -> Iterator[RealNode]:
    """Yield A's operators behind the operators without weights that read a tensor."""
    reached = {tensor}
    for _ in range(NEAR):
        readers = [n for n in sides.a.nodes if reached & set(n.inputs) and n.operator not in LAYERS]
        reached = {node.output for node in readers if node.operator not in ACTIVATIONS}
        yield from (node for node in sides.a.nodes if reached & set(node.inputs))


def _before(sides: Sides, tensor: str) -> Iterator[RealNode]:
    """Yield A's operators in front of the operators without weights that compute a tensor."""
    node = sides.a.producer(tensor)
    for _ in range(NEAR):
        if node is None or node.operator in LAYERS or node.operator in ACTIVATIONS:
            return
        sources = [made for name in node.inputs if (made := sides.a.producer(name)) is not None]
        yield from sources
        node = sources[0] if sources else None
