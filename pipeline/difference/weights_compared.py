"""Compares the weights and the bias of one layer in two networks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.onnx_graph import attribute
from pipeline.difference.channelwise_fit import ChannelAffine
from pipeline.difference.decibels import ratio_db
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.layer_means import CORRECT
from pipeline.difference.place import GraphPlace
from pipeline.difference.real_graph import RealGraph, RealNode

Array = NDArray[Any]
EIGHT_BIT_STEPS = 127
COARSE = 4.0
"""Weights are coarse if they are rounded to steps this much larger than those of 8 bits per channel."""
WITHIN = 0.75
"""Rounding changes a weight by at most half a step, and a little more where the gain is not known exactly."""
SAME_BIAS_DB = 25.0
"""Biases that agree so far are the same, rounded."""
SAME = 0.02
"""Relative difference of gains that rounding to 8 bits can cause."""


@dataclass(frozen=True)
class ComparedWeights:
    """A layer's weight as [out, in, taps] and its bias [out], in float64."""

    weight: Array
    bias: Array
    steps: Array | None
    """The scales of an integer weight, [out] or one."""


def layer_weights(graph: RealGraph, node: RealNode) -> ComparedWeights | None:
    """Return a layer's constants; None if its weight is computed."""
    weight = graph.constants.get(node.inputs[1])
    if weight is None or weight.ndim < 2:
        return None
    wide = weight.astype(np.float64)
    if node.operator == "MatMul" or (node.operator == "Gemm" and not attribute(node.proto, "transB", 0)):
        wide = wide.T
    if node.operator == "ConvTranspose":
        wide = np.moveaxis(wide, 1, 0)
    wide = wide.reshape(len(wide), wide.shape[1], -1)
    given = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
    bias = np.zeros(len(wide)) if given is None else given.astype(np.float64).reshape(-1)
    if len(bias) != len(wide):
        return None
    return ComparedWeights(wide, bias, graph.weight_steps.get(node.inputs[1]))


@dataclass(frozen=True)
class NamedDifference:
    """A kind of difference between two layers' constants, with the evidence."""

    kind: FaultKind
    evidence: str
    remedy: str


def compare_layers(ours: ComparedWeights, theirs: ComparedWeights) -> NamedDifference | None:
    """Name the difference of two layers' constants; None if rounding to 8 bits explains it.

    Factors of whole input and output channels do not count: equalisation and folded normalisations
    bring them in.
    """
    if ours.weight.shape != theirs.weight.shape:
        return NamedDifference(
            FaultKind.WEIGHTS,
            f"weights are {list(theirs.weight.shape)} instead of {list(ours.weight.shape)}",
            "Convert the same checkpoint again.",
        )
    mine = ours.weight
    other = theirs.weight / _input_factors(mine, theirs.weight)[None, :, None]
    coarseness = _coarseness(mine * _gains(mine, other)[:, None, None], other)
    return _named_weights(mine, other, theirs, coarseness) if coarseness > COARSE else None


def output_gains(ours: ComparedWeights, theirs: ComparedWeights, input_gains: Array | None) -> Array:
    """Return how many times as large each output channel's weights are in B, float64 [out].

    Where `input_gains` are not known, the gains' geometric mean is 1: only their ratios can be told.
    """
    mine, other = ours.weight, theirs.weight
    if input_gains is not None:
        return _gains(mine, other * of_groups(input_gains, mine))
    gains = _gains(mine, other / _input_factors(mine, other)[None, :, None])
    size = float(np.exp(np.log(abs(gains)).mean()))
    return gains / size


def input_gains_of(ours: ComparedWeights, theirs: ComparedWeights) -> Array:
    """Return what B's layer takes its input channels to be, times A's, up to one factor: float64 [in]."""
    gains: Array = 1 / _input_factors(ours.weight, theirs.weight)
    return gains


def vary(gains: Array) -> bool:
    """Whether gains differ from each other by more than rounding explains."""
    return bool(abs(gains - np.median(gains)).max() > 5 * SAME * abs(np.median(gains)))


def of_groups(gains: Array, weight: Array) -> Array:
    """Return the gains of input channels [in] for each weight [out, in of its group, 1]."""
    if len(gains) == 1:
        return np.ones((1, 1, 1))
    outputs, each = weight.shape[:2]
    groups = max(1, len(gains) // each)
    by_group = gains[: groups * each].reshape(groups, each)
    of_output = np.repeat(by_group, max(1, outputs // groups), axis=0)[:outputs]
    wide: Array = of_output[:, :, None] if len(of_output) == outputs else np.ones((1, 1, 1))
    return wide


def _gains(mine: Array, other: Array) -> Array:
    """Return, for each output channel, the factor that fits B's weights best; 1 where A's are 0."""
    x, y = mine.reshape(len(mine), -1), other.reshape(len(other), -1)
    power = (x * x).sum(1)
    gains: Array = np.where(power > 0, (x * y).sum(1) / np.where(power > 0, power, 1), 1.0)
    return np.where(abs(gains) < 1e-9, 1.0, gains)


def _input_factors(mine: Array, other: Array) -> Array:
    """Return factors of input channels so that other = mine * gain of output * factor, by alternation."""
    factors = np.ones(mine.shape[1])
    for _ in range(4):
        gains = _gains(mine, other / factors[None, :, None])
        scaled = mine * gains[:, None, None]
        power = (scaled**2).sum((0, 2))
        factors = np.where(power > 0, (scaled * other).sum((0, 2)) / np.where(power > 0, power, 1), 1.0)
        factors = np.where(factors == 0, 1.0, factors)
    return factors / factors[0] if factors[0] else factors


def _coarseness(mine: Array, other: Array) -> float:
    """Return the rounding error of weights in units of what 8 bits with a scale per channel leave.

    The root mean square over channels of (rms error) / (largest weight / 127 / sqrt(12)).
    """
    x, y = mine.reshape(len(mine), -1), other.reshape(len(other), -1)
    usual = abs(x).max(1) / EIGHT_BIT_STEPS / np.sqrt(12)
    there = usual > 1e-9 * max(1e-30, usual.max())
    error = np.sqrt(((x - y) ** 2).mean(1))
    return float(np.sqrt(((error[there] / usual[there]) ** 2).mean())) if there.any() else 0.0


def _named_weights(mine: Array, other: Array, theirs: ComparedWeights, coarseness: float) -> NamedDifference:
    alike, turned = _likeness(mine, theirs.weight), _likeness(mine[..., ::-1], theirs.weight)
    if mine.shape[-1] > 1 and turned > max(0.9, alike + 0.05):
        return NamedDifference(
            FaultKind.KERNEL_ORIENTATION,
            f"B's kernels are A's turned by half a turn (correlation {turned:.3f}, as they are {alike:.3f})",
            "Flip the kernels in both directions: ONNX's Conv is a correlation.",
        )
    levels = _levels(other)
    if alike > 0.5 and (coarseness < 60 or levels <= 40 or _only_rounded(mine, theirs.weight)):
        shared = theirs.steps is not None and (theirs.steps.size == 1 or np.ptp(theirs.steps) == 0)
        why = "with one scale for all channels" if shared else f"to about {levels} levels a channel"
        return NamedDifference(
            FaultKind.WEIGHT_PRECISION,
            f"B's weights are A's, rounded {why}: {coarseness:.0f} times the error of 8 bits per channel",
            "Quantise weights per output channel with 8 bits (onnxruntime: per_channel=True).",
        )
    return NamedDifference(
        FaultKind.WEIGHTS,
        f"B's weights are others (correlation with A's {alike:.3f})",
        "Convert the same checkpoint again; look for raw beside averaged (EMA) weights.",
    )


def _likeness(mine: Array, theirs: Array) -> float:
    """Return the correlation of two weights, whatever the gains of their channels."""
    other = theirs / _input_factors(mine, theirs)[None, :, None]
    fitted = mine * _gains(mine, other)[:, None, None]
    scale = np.sqrt((fitted**2).sum() * (other**2).sum())
    return float((fitted * other).sum() / scale) if scale > 0 else 0.0


def _only_rounded(mine: Array, other: Array) -> bool:
    """Whether B's weights are A's, times gains, rounded to whole steps of any size, one size a channel."""
    factors = _input_factors(mine, other)[None, :, None]
    fitted = mine * _gains(mine, other / factors)[:, None, None] * factors
    beyond = []
    for wanted, row in zip(fitted.reshape(len(mine), -1), other.reshape(len(other), -1), strict=True):
        sizes = np.unique(abs(row))
        sizes = sizes[sizes > 1e-9 * max(1e-30, float(sizes[-1]))]
        if not len(sizes):
            continue  # all are rounded to 0
        step = float(np.diff(np.concatenate([[0.0], sizes])).min())
        if abs(sizes / step - np.rint(sizes / step)).max() > 0.1:
            return False
        beyond.append(abs(wanted - row) / step > WITHIN)
    return bool(beyond) and float(np.concatenate(beyond).mean()) < 0.05


def _levels(other: Array) -> int:
    """Return the median number of different values of a channel's weights."""
    flat = other.reshape(len(other), -1)
    return int(np.median([len(np.unique(np.round(row, 9))) for row in flat[:64]]))


def name_gains(theirs: ComparedWeights, gains: Array, meant: Array | None = None) -> NamedDifference:
    """Name gains of output channels that no other layer takes back.

    meant: the gains that other layers do take back, up to one factor.
    """
    if meant is not None:
        gains = gains / meant
        gains = gains / np.exp(np.log(abs(gains)).mean())
    words = f"channels are {gains.min():.3g} to {gains.max():.3g} times as large"
    if theirs.steps is not None and theirs.steps.size == len(gains) > 1:
        wanted = np.sort(theirs.steps.astype(np.float64) / gains)
        have = np.sort(theirs.steps.astype(np.float64))
        if ratio_db(have, wanted) > (30 if meant is None else 20):
            return NamedDifference(
                FaultKind.WEIGHT_SCALES,
                f"{words}: with the same {len(have)} scales in another order the weights are A's",
                "Give each output channel its own scale: `axis` of DequantizeLinear, 0 for Conv.",
            )
    return NamedDifference(
        FaultKind.NORM,
        words,
        "Fold the norm's running statistics: export in evaluation mode (model.eval()).",
    )


def compare_biases(ours: ComparedWeights, theirs: ComparedWeights, domain: ChannelAffine) -> NamedDifference:
    """Name the difference of two biases where B's layer is A's with a shift of each channel."""
    spread = float(np.sqrt((domain.shift**2).mean()))
    meant = ours.bias * domain.gain
    if np.array_equal(meant, theirs.bias) or ratio_db(meant, theirs.bias) > SAME_BIAS_DB:
        evidence = (
            f"B's output is shifted by {spread:.3g} (root mean square over channels), though A and B have the"
            " same bias: its rounded weights do that"
        )
        return NamedDifference(FaultKind.BIAS_CORRECTION, evidence, CORRECT)
    missing = not theirs.bias.any() and ours.bias.any()
    ratio = _ratio(ours.bias * domain.gain, theirs.bias)
    if missing:
        evidence = "B has no bias"
    elif ratio is not None:
        evidence = f"B's bias is {ratio:.3g} times A's"
    else:
        evidence = f"B's output is shifted by {spread:.3g} (root mean square over channels)"
    remedy = "An int32 bias has the scale of the sum: the input's times the weight's, for each channel."
    return NamedDifference(FaultKind.BIAS, evidence, remedy)


def _ratio(ours: Array, theirs: Array) -> float | None:
    """Return the one factor between two biases, if there is one."""
    power = float(ours @ ours)
    if power == 0:
        return None
    factor = float(ours @ theirs / power)
    return factor if ratio_db(theirs, ours * factor) > 25 and abs(factor - 1) > SAME else None


def transplanted(place: GraphPlace, graph: RealGraph) -> dict[str, Array]:
    """Return A's names of a layer's constants with B's values, where both have them in the same form."""
    layer, other = place.layer, place.counterpart
    if layer is None or other is None or other.operator != layer.operator:
        return {}
    found = {}
    for name, theirs in zip(layer.inputs[1:], other.inputs[1:], strict=False):
        if name in place.graph.constants and theirs in graph.constants:
            value = graph.constants[theirs]
            if value.shape == place.graph.constants[name].shape:
                found[name] = value.astype(place.graph.constants[name].dtype)
    return found
