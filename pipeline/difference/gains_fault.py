"""Names the fault that gains of a layer's output are, if nothing in B takes them back."""

from dataclasses import replace

from calibration.onnx_graph import attribute
from pipeline.difference.channelwise_fit import ChannelAffine
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.layer_check import LayerConstants
from pipeline.difference.place import GraphPlace, Sides
from pipeline.difference.real_graph import RealNode

NORMS = ("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization")
EVALUATION = "Export in evaluation mode (model.eval()), so that the norm uses its running statistics."


def gains_fault(
    sides: Sides, place: GraphPlace, fitted: ChannelAffine, constants: LayerConstants | None, here: float
) -> Discrepancy:
    """Name the gains and shifts `fitted` of a layer's output; `here` is the agreement in dB without them."""
    tensor = place.node.output
    after = place.agreement(fitted.applied(place.run())) if place.layer is not None else None
    if constants is not None:
        named = constants.name_affine(sides, place, fitted)
        return Discrepancy(named.kind, tensor, named.evidence, here, after, named.remedy)
    evidence = f"B's channels are {fitted.gain.min():.3g} to {fitted.gain.max():.3g} times A's"
    norm = place.counterpart
    if norm is not None and norm.operator in NORMS and place.node.operator not in NORMS:
        return Discrepancy(FaultKind.NORM, tensor, f"{evidence}; {_unfolded(norm)}", here, after, EVALUATION)
    remedy = "Use one scale on both sides of a tensor."
    return Discrepancy(FaultKind.SCALE, tensor, evidence, here, after, remedy)


def blame_norm(found: Discrepancy, computed_by: RealNode | None) -> Discrepancy:
    """Return a scale between a tensor and its reader as a fault of the norm, where one computes it in B."""
    may_be_norm = found.kind in (FaultKind.SCALE, FaultKind.UNEXPLAINED)
    if not may_be_norm or computed_by is None or computed_by.operator not in NORMS:
        return found
    evidence = f"{found.evidence}; {_unfolded(computed_by)}"
    return replace(found, kind=FaultKind.NORM, evidence=evidence, remedy=EVALUATION)


def _unfolded(norm: RealNode) -> str:
    how = " in training mode" if attribute(norm.proto, "training_mode", 0) else ""
    return f"B has a {norm.operator}{how} here, which A has not, or folded"
