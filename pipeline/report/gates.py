"""Judge a measured interval against a limit: pass or fail when all of it says so, else inconclusive."""

from collections.abc import Callable, Iterator
from typing import Literal

from pipeline.errors import ReportError
from pipeline.report import figures
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.paired_figures import PairedRate, PairedScore
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.plausibility import compared, plausibility_gate
from pipeline.report.stats import (
    images_to_decide,
    mean_score,
    ratio_interval,
    ratio_score,
    wilson_interval,
    wilson_score,
)
from targets.base import Origin
from targets.runtime.paired_difference import difference_score

Bound = Literal["maximum", "minimum"]
"""Whether a figure has to stay below a limit or above it."""


def drop_gate(
    top1: PairedRate, max_drop: float, origin: Origin, name: str = "max_drop", claim: str = "top-1 drop"
) -> Gate:
    """Judge 'top-1 falls by less than `max_drop` percentage points'."""

    def score(factor: float) -> float:
        counts = top1.worse * factor, top1.better * factor, top1.images * factor
        return difference_score(*counts, max_drop / 100)

    return _drop_gate(top1, score, max_drop, origin, name, claim)


def score_gate(score: PairedScore, max_drop: float, origin: Origin, name: str, claim: str) -> Gate:
    """Judge 'the mean over images of `claim` falls by less than `max_drop` percentage points'."""

    def standing(factor: float) -> float:
        return mean_score(score.drop_points, score.change_sd, score.images * factor, max_drop)

    return _drop_gate(score, standing, max_drop, origin, name, claim)


def accuracy_gates(
    accuracy: Accuracy | PixelAccuracy,
    max_drop: float | None,
    min_ratio: float | None,
    origin: Origin,
    min_top1: float | None = None,
) -> Iterator[Gate]:
    """Yield the gate on FP32 itself, then the gates that are set. A limit or figure of None yields no gate.

    Raises ReportError for a limit on top-1 where pixels were classified.
    """
    plausible = plausibility_gate(accuracy)
    if plausible is not None:
        yield plausible
    yield from compared(plausible, _gates_against_fp32(accuracy, max_drop, min_ratio, origin))
    if min_top1 is not None:
        if not isinstance(accuracy, Accuracy):
            raise ReportError("min_top1 limits top-1, but this network classifies pixels: use max_drop")
        yield floor_gate(accuracy.top1, min_top1, origin)


def _gates_against_fp32(
    accuracy: Accuracy | PixelAccuracy, max_drop: float | None, min_ratio: float | None, origin: Origin
) -> Iterator[Gate]:
    if isinstance(accuracy, Accuracy):
        if max_drop is not None:
            yield drop_gate(accuracy.top1, max_drop, origin)
        if min_ratio is not None:
            yield ratio_gate(accuracy.top1, min_ratio, origin)
        return
    if min_ratio is not None:
        raise ReportError("min_ratio limits top-1, but this network classifies pixels: use max_drop")
    if max_drop is not None:
        for number, (name, score) in enumerate(accuracy.rates):
            key = "max_drop" if number == 0 else "max_drop_iou"
            yield score_gate(score, max_drop, origin, key, f"drop of {name}")


def floor_gate(top1: PairedRate, min_top1: float, origin: Origin) -> Gate:
    """Judge 'INT8 is right on at least `min_top1` percent of images', whatever FP32 is."""
    interval = wilson_interval(top1.int8_correct, top1.images)
    floor = min_top1 / 100

    def score(factor: float) -> float:
        return wilson_score(top1.int8_correct * factor, top1.images * factor, floor)

    return _accuracy_gate(
        name="min_top1",
        claim=f"INT8's top-1 is at least {min_top1:g} %",
        limit=min_top1,
        value=100 * top1.int8,
        interval=interval.scaled(100),
        unit="%",
        origin=origin,
        verdict=verdict_above(interval, floor),
        bound="minimum",
        decide=lambda: images_to_decide(score, top1.images),
    )


def ratio_gate(top1: PairedRate, min_ratio: float, origin: Origin) -> Gate:
    """Judge 'INT8 keeps at least `min_ratio` of FP32's top-1', MLPerf's way of asking (0.99)."""
    both = top1.fp32_correct - top1.worse
    interval = ratio_interval(top1.worse, top1.better, both, top1.images)

    def score(factor: float) -> float:
        counts = top1.worse * factor, top1.better * factor, both * factor, top1.images * factor
        return ratio_score(*counts, min_ratio)

    return _accuracy_gate(
        name="min_ratio",
        claim=f"INT8 keeps {100 * min_ratio:g} % of FP32's top-1",
        limit=min_ratio,
        value=top1.int8_correct / max(1, top1.fp32_correct),
        interval=interval,
        unit="of FP32",
        origin=origin,
        verdict=verdict_above(interval, min_ratio),
        bound="minimum",
        decide=lambda: images_to_decide(score, top1.images),
    )


def verdict_below(interval: Interval, limit: float) -> Verdict:
    """Judge the claim 'the figure is below the limit'."""
    if interval.high is not None and interval.high < limit:
        return Verdict.PASS
    return Verdict.FAIL if interval.low > limit else Verdict.INCONCLUSIVE


def verdict_above(interval: Interval, limit: float) -> Verdict:
    """Judge the claim 'the figure is above the limit'."""
    if interval.low > limit:
        return Verdict.PASS
    return Verdict.FAIL if interval.high is not None and interval.high < limit else Verdict.INCONCLUSIVE


def _drop_gate(
    drop: PairedRate | PairedScore,
    standing: Callable[[float], float],
    max_drop: float,
    origin: Origin,
    name: str,
    claim: str,
) -> Gate:
    """`standing(factor)`: the score statistic of the claim with `factor` times as many images."""
    return _accuracy_gate(
        name=name,
        claim=f"{claim} below {max_drop:.2f} points",
        limit=max_drop,
        value=drop.drop_points,
        interval=drop.drop_interval,
        unit="points",
        origin=origin,
        verdict=verdict_below(drop.drop_interval, max_drop),
        bound="maximum",
        decide=lambda: images_to_decide(standing, drop.images),
    )


def _accuracy_gate(  # noqa: PLR0913 - a gate has that many parts
    *,
    name: str,
    claim: str,
    limit: float,
    value: float,
    interval: Interval,
    unit: str,
    origin: Origin,
    verdict: Verdict,
    bound: Bound,
    decide: Callable[[], int | None],
) -> Gate:
    message, images = explain(interval, bound, limit, unit, verdict), None
    if verdict is Verdict.INCONCLUSIVE:
        images = decide()
        message += (
            f"; about {images:,} images would decide (80 % chance, at the rates seen)"
            if images
            else f"; so close to the {bound} that no number of images would decide"
        )
    return Gate(
        name=name,
        claim=claim,
        limit=limit,
        value=value,
        interval=interval,
        unit=unit,
        origin=origin,
        verdict=verdict,
        message=message,
        images_to_decide=images,
    )


def explain(interval: Interval, bound: Bound, limit: float, unit: str, verdict: Verdict) -> str:
    """Say where an interval lies with respect to a limit."""
    decimals = 2 if unit in ("points", "%") else 4
    place = {
        ("maximum", Verdict.PASS): "lies below",
        ("maximum", Verdict.FAIL): "lies above",
        ("minimum", Verdict.PASS): "lies above",
        ("minimum", Verdict.FAIL): "lies below",
    }.get((bound, verdict), "contains")
    written = (
        figures.milliseconds_interval(interval) if unit == "ms" else figures.interval(interval, decimals)
    )
    asked = f"{limit:.2f}" if unit == "points" else f"{limit:g}"
    counted = "" if unit == "times" else f" {unit}"
    return f"the {100 * interval.level:g} % interval {written} {place} the {bound} of {asked}{counted}"
