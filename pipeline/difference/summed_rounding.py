"""Whether rounding explains how far two networks are apart where no operator alone differs by more than it.

Small errors add up with depth. How far they may is measured with the networks' own scales
(`rounded_again.py`). Two faults are too small to see at any one place: ranges that are all somewhat too wide
or too narrow, and biases that do not take back what rounding of weights does to the means. Both are tried.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from calibration.scheme import ObserverName
from pipeline.difference.channelwise_fit import ChannelAffine
from pipeline.difference.compare import NetworkComparison
from pipeline.difference.decibels import ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.layer_check import layer_constants
from pipeline.difference.layer_means import MeanShift, layer_place, mean_shift
from pipeline.difference.place import Array, Sides
from pipeline.difference.real_graph import TensorGrid
from pipeline.difference.remedies import agreement_with, grids_of, with_range
from pipeline.difference.repaired_graph import RepairedGraph
from pipeline.difference.rounded_again import rounding_db
from pipeline.difference.weights_compared import compare_biases

POOR_DB = 20.0
"""Quantised networks that agree less are looked at once more."""
MARGIN_DB = 5.0
"""Networks may be so much further apart than rounding a second time puts them: its size varies from one
rounding to the next, and weights and ranges are chosen on other pictures."""
WIDE_RANGES_DB, SHIFTED_MEANS_DB = 6.0, 3.0
"""A fault in many places is named if its remedy in all of them brings the logits so much closer."""
WIDE = 1.5
"""A step is too large from this multiple of the one that A's values need."""
CLIPPED_DB = 30.0
SHIFTED = 0.02
"""Means are listed from this shift on, in standard deviations of the channel."""


@dataclass(frozen=True)
class RoundingCost:
    """What rounding does to the logits of two networks that agree to `agreement_db`, on the same pictures."""

    agreement_db: float
    again_db: float
    """How far the logits move if what is rounded is rounded a second time."""
    findings: tuple[Discrepancy, ...] = ()
    """Small faults in many places."""

    @property
    def explains_it(self) -> bool:
        """Whether rounding alone explains the difference."""
        return self.agreement_db >= self.again_db - MARGIN_DB

    @property
    def is_high(self) -> bool:
        """Whether the networks agree badly."""
        return self.agreement_db < POOR_DB

    @property
    def words(self) -> str:
        """Say what rounding a second time does, beside the agreement."""
        again = f"to {self.again_db:.1f} dB"
        return f"rounded a second time, with other steps, its logits agree with its own {again}"


def rounding_cost(found: NetworkComparison, agreement_db: float) -> RoundingCost:
    """Measure what rounding costs two networks whose logits agree to `agreement_db`.

    Where they agree badly, look for small faults in many places.
    """
    cost = RoundingCost(agreement_db, rounding_db((found.sides.a, found.sides.b), found.pictures))
    if not cost.is_high:
        return cost
    network = RepairedGraph.of(found.sides, found.rescaled)
    findings = _if_it_helps(found, network, _with_ranges(network), WIDE_RANGES_DB, _ranges)
    if not findings and not cost.explains_it:  # what the network's own rounding costs has shifts in it
        findings = _if_it_helps(found, network, _with_means(network), SHIFTED_MEANS_DB, _means)
    return replace(cost, findings=findings)


def _if_it_helps(
    found: NetworkComparison,
    network: RepairedGraph,
    changed: RepairedGraph | None,
    gain_db: float,
    named: Callable[[NetworkComparison], Iterator[Discrepancy]],
) -> tuple[Discrepancy, ...]:
    """Return the findings that a change takes away, if it brings the logits closer by `gain_db`."""
    ours = found.sides.a_values[found.sides.a.output]
    if changed is None:
        return ()
    before, after = (agreement_with(one.model, ours, found.pictures) for one in (network, changed))
    helps = before is not None and after is not None and after >= before + gain_db
    return tuple(named(found)) if helps else ()


def _with_ranges(network: RepairedGraph) -> RepairedGraph | None:
    """Give every tensor that B rounds the range of A's values."""
    changed = network
    for tensor in network.sides.matching.names:
        if any(True for _ in grids_of(network.sides, tensor)):
            changed = with_range(changed, tensor, ObserverName.MINMAX) or changed
    return None if changed is network else changed


def _ranges(found: NetworkComparison) -> Iterator[Discrepancy]:
    """Name the ranges that are worse than those of A's values."""
    for tensor in found.sides.matching.names:
        values = _as_b_holds(found, tensor)
        for grid in grids_of(found.sides, tensor):
            if (named := _range(tensor, grid, values)) is not None:
                yield named
                break


def _as_b_holds(found: NetworkComparison, tensor: str) -> Array:
    values = found.sides.a_values[tensor]
    affine = found.rescaled.get(tensor)
    return values if affine is None else affine.applied(values)


def _range(tensor: str, grid: TensorGrid, values: Array) -> Discrepancy | None:
    low, high = (float(limit.max()) for limit in grid.limits)
    inside = np.clip(values, low, high)
    before = ratio_db(values, inside)
    words = (
        f"[{low:.4g}, {high:.4g}], A's values reach {float(values.min()):.4g} to {float(values.max()):.4g}"
    )
    if before < CLIPPED_DB:
        remedy = "Calibrate on images like those of use: the ranges are too narrow."
        return Discrepancy(FaultKind.CLIPPED_RANGE, tensor, f"the range is {words}", before, None, remedy)
    wide = (high - low) / max(1e-30, float(inside.max() - min(0.0, inside.min())))
    if wide < WIDE:
        return None
    remedy = "The ranges are too wide: look for outliers in the calibration images."
    evidence = f"the range is {words}: steps are {wide:.1f} times as large as these need"
    return Discrepancy(FaultKind.COARSE_RANGE, tensor, evidence, before, None, remedy)


def _with_means(network: RepairedGraph) -> RepairedGraph | None:
    """Take back what rounding does to the means of every layer's channels."""
    changed = network
    for tensor, shift in _shifts(network.sides, network.rescaled):
        changed = changed.with_shift(tensor, -shift.by)
    return None if changed is network else changed


def _shifts(sides: Sides, rescaled: Mapping[str, ChannelAffine]) -> Iterator[tuple[str, MeanShift]]:
    for tensor in sides.matching.names:
        if (shift := mean_shift(sides, rescaled, tensor)) is not None:
            yield tensor, shift


def with_every_shift(found: NetworkComparison) -> NetworkComparison:
    """Where a layer's bias lacks a correction, name the other layers of which the same is true."""
    if not any(one.kind is FaultKind.BIAS_CORRECTION for one in found.findings):
        return found
    known = {one.place for one in found.findings}
    others = [
        one for one in _means(found) if one.kind is FaultKind.BIAS_CORRECTION and one.place not in known
    ]
    return replace(found, findings=(*found.findings, *others))


def _means(found: NetworkComparison) -> Iterator[Discrepancy]:
    """Name the layers whose means are shifted, by other biases or by rounded weights."""
    for tensor, shift in _shifts(found.sides, found.rescaled):
        place = layer_place(found.sides, tensor)
        constants = layer_constants(found.sides, place, None)
        if shift.share < SHIFTED or constants is None:
            continue
        named = compare_biases(constants.ours, constants.theirs, shift.affine)
        evidence = f"{shift.words}. {named.evidence}"
        yield Discrepancy(named.kind, tensor, evidence, place.agreement(place.run()), None, named.remedy)
