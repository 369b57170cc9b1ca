"""Finds another operator, order of channels or constants that B has at a place."""

from calibration.exact.session import is_from_onnxruntime
from pipeline.difference.alternatives import alternatives
from pipeline.difference.channelwise_fit import channel_order
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.layer_check import LayerConstants
from pipeline.difference.place import Array, GraphPlace, Sides, real_proto
from pipeline.difference.real_graph import LAYERS
from pipeline.difference.weights_compared import transplanted

BETTER_DB, LEAST_DB = 8.0, 15.0
"""An explanation brings the networks so much closer, and at least so close."""


def other_operators(
    sides: Sides, place: GraphPlace, undone: GraphPlace, here: float, constants: LayerConstants | None
) -> tuple[Discrepancy, ...]:
    """Name what B does instead of A's operators; `undone` has B's inputs without B's gains.

    Several where the weights differ and the operator does too.
    """
    alone, structural = with_other_constants(sides, place)
    found = () if structural is None else (structural,)
    if constants is not None and constants.named is not None:
        named = constants.named
        return (Discrepancy(named.kind, place.node.output, named.evidence, here, alone, named.remedy), *found)
    return found or (_without_other_constants(place, undone, here),)


def _without_other_constants(place: GraphPlace, undone: GraphPlace, here: float) -> Discrepancy:
    base = undone if place.node.operator in LAYERS else place
    if base is not place and (found := _best(base, {}, here)) is not None:
        return found
    order = channel_order(base.run(), place.expected)
    if order is not None and (after := order.agreement_db) > max(here + BETTER_DB, LEAST_DB):
        evidence = f"{order.moved} of {len(order.order)} channels stand in another order"
        remedy = "Look for a layout, NHWC or NCHW, that is taken for the other."
        return Discrepancy(FaultKind.CHANNEL_ORDER, place.node.output, evidence, here, after, remedy)
    evidence = f"given the same inputs, A and B agree to {here:.0f} dB only"
    return Discrepancy(
        FaultKind.UNEXPLAINED, place.node.output, evidence, here, None, "Compare the two graphs here."
    )


def with_other_constants(sides: Sides, place: GraphPlace) -> tuple[float | None, Discrepancy | None]:
    """Run A's operators with B's constants and B's inputs: only another operator can differ then.

    Returns the agreement, None for a layer whose constants cannot be exchanged, and what explains the rest.
    """
    changed = {} if place.reads_own else transplanted(place, sides.b)
    if place.layer is not None and not changed and not place.reads_own:
        return None, None
    here = place.agreement(place.run_nodes(tuple(real_proto(node) for node in place.nodes), changed))
    if here >= 50:
        return here, None
    return here, _best(place, changed, here)


def _best(place: GraphPlace, changed: dict[str, Array], here: float) -> Discrepancy | None:
    """Return the alternative that explains B best, if one does."""
    best: tuple[float, Discrepancy] | None = None
    for one in alternatives(place):
        try:
            after = place.agreement(place.run_nodes(one.nodes, {**changed, **one.changed}))
        except Exception as error:
            if not is_from_onnxruntime(error):
                raise
            continue  # such an operator cannot stand here
        if best is None or after > best[0] + 0.5:
            label = one.at.name or one.at.op_type
            remedy = f"Make B's {label} like A's."
            evidence = f"B's {label} {one.words}"
            best = after, Discrepancy(one.kind, one.at.output[0], evidence, here, after, remedy)
    if best is None or best[0] < max(here + BETTER_DB, LEAST_DB):
        return None
    return best[1]
