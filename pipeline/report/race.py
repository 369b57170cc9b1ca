"""Judges INT8's speed against the engine that would run without it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.report import figures
from pipeline.report.gates import explain, verdict_above
from pipeline.report.model.certainty import Interval, NotMeasured, Verdict
from pipeline.report.model.float_layers import TimedLayer
from pipeline.report.model.gate import Gate
from pipeline.report.model.measured_latency import SpeedRatio
from targets.base import Origin

GATE = "min_speedup"
NAMED_LAYERS = 3


@dataclass(frozen=True)
class Race:
    """INT8's time over that of `against`, measured in alternation at `origin`.

    layers: INT8's, where they were timed.
    """

    against: str
    speed: SpeedRatio
    origin: Origin
    layers: Sequence[TimedLayer] = ()


def race_gates(race: Race | NotMeasured, min_speedup: float) -> Iterator[Gate]:
    """Yield the gate on (time without INT8) / (time with it), if one is set; a `min_speedup` of 0 sets none.

    A limit up to 1 fails only if INT8 is shown to be slower, so that a noisy machine fails no build. A limit
    above 1 passes only if INT8 is shown to be that fast. Without a measurement, a limit above 1 is
    inconclusive, and one up to 1 sets no gate.
    """
    if not min_speedup:
        return
    if isinstance(race, Race):
        yield _judged(race, min_speedup)
    elif min_speedup > 1:
        yield Gate(
            name=GATE,
            claim=_claim("FP32", min_speedup),
            limit=min_speedup,
            value=None,
            interval=None,
            unit="times",
            origin=None,
            verdict=Verdict.INCONCLUSIVE,
            message=f"not measured: {race.reason}",
        )


def _judged(race: Race, min_speedup: float) -> Gate:
    interval = faster_by(race.speed)
    verdict = verdict_above(interval, min_speedup)
    message = explain(interval, "minimum", min_speedup, "times", verdict)
    match verdict:
        case Verdict.INCONCLUSIVE if min_speedup <= 1:
            verdict, message = Verdict.PASS, f"not shown to be slower: {message}"
        case Verdict.INCONCLUSIVE:
            message += f"; {race.speed.rounds} rounds do not decide, more rounds or a quieter machine may"
        case Verdict.FAIL:
            message += slowest(race.layers)
        case _:
            pass
    return Gate(
        name=GATE,
        claim=_claim(race.against, min_speedup),
        limit=min_speedup,
        value=1 / race.speed.ratio,
        interval=interval,
        unit="times",
        origin=race.origin,
        verdict=verdict,
        message=message,
    )


def faster_by(speed: SpeedRatio) -> Interval:
    """Return the interval of how many times as fast the second engine is."""
    low = 0.0 if speed.interval.high is None else 1 / speed.interval.high
    high = 1 / speed.interval.low if speed.interval.low > 0 else None
    return Interval(low=low, high=high, level=speed.interval.level)


def slowest(layers: Sequence[TimedLayer]) -> str:
    """Name the layers that take most of INT8's time, and what computes in float altogether."""
    total = sum(layer.microseconds for layer in layers)
    if not total:
        return ""
    most = sorted(layers, key=lambda layer: -layer.microseconds)[:NAMED_LAYERS]
    shares = [(layer, figures.percent(layer.microseconds / total)) for layer in most]
    named = [f"{layer.layer} ({'integers' if layer.int8 else 'float'}) {share}" for layer, share in shares]
    in_float = sum(layer.microseconds for layer in layers if not layer.int8) / total
    return f"; most of INT8's time: {', '.join(named)}; in float altogether {figures.percent(in_float)}"


def _claim(against: str, min_speedup: float) -> str:
    if min_speedup == 1:
        return f"INT8 is not slower than {against}"
    return f"INT8 is at least {min_speedup:g} times as fast as {against}"
