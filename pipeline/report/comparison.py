"""A build against its baseline: what moved, by how much, and whether that is more than noise.

Accuracy is compared image by image on the same evaluation images. Latency is judged only when both engines
ran interleaved in one session; a stored latency was measured at another time and only warns.
"""

from collections.abc import Mapping

from pipeline.errors import ReportError
from pipeline.report import figures
from pipeline.report.baseline import Baseline, StoredLatency, baseline_of
from pipeline.report.gates import drop_gate, explain, verdict_below
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import Gate, overall
from pipeline.report.model.measured_latency import Quantile, SpeedRatio
from pipeline.report.model.paired_figures import PairedRate
from pipeline.report.paired import paired_images, unpack_bits
from pipeline.report.plausibility import plausibility_gate
from pipeline.report.record import Record
from pipeline.report.regression_limits import Limits
from pipeline.report.regression_steps import with_regression_step
from pipeline.report.sections.sizes import memory
from targets.base import Origin

LIMITS = Limits()


class Moved(Record):
    """A figure before and after, as text, and whether the change is more than noise."""

    name: str
    before: str
    after: str
    note: str


class Comparison(Record):
    """A build against its baseline."""

    model: str
    target: str
    device: str
    verdict: Verdict
    gates: tuple[Gate, ...]
    moved: tuple[Moved, ...]
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """Return 0 for pass, 1 for fail, 3 for inconclusive, 5 for meaningless."""
        return self.verdict.exit_code


def compare(
    before: Baseline, report: Report, limits: Limits = LIMITS, speed: SpeedRatio | None = None
) -> Comparison:
    """Compare a build with its baseline; `speed` if both engines were measured interleaved.

    Raises ReportError if the two are not comparable: another model, target, device or other images.
    """
    after = baseline_of(report)
    refuse_incomparable(before, after)
    right = [unpack_bits(b.int8_right, b.images) for b in (before, after)]
    top1 = paired_images(right[0], right[1])
    accuracy = drop_gate(top1, limits.max_drop, after.int8_origin, "baseline_drop", "loss of INT8's top-1")
    size = _size_gate(before.engine_bytes, after.engine_bytes, limits.max_size_ratio)
    raced = () if speed is None else (_speed_gate(speed, limits, after),)
    plausible = plausibility_gate(report.accuracy)
    guesses = plausible is not None and plausible.verdict is Verdict.MEANINGLESS
    judged = (*((plausible,) if plausible and guesses else ()), accuracy, size, *raced)
    gates = tuple(with_regression_step(gate, report) for gate in judged)
    return Comparison(
        model=after.model,
        target=after.target,
        device=after.device,
        verdict=overall(gates),
        gates=gates,
        moved=(
            _accuracy_moved(top1),
            *_latency_moved(before.latency, after.latency, speed),
            _size_moved(before.engine_bytes, after.engine_bytes),
            Moved(
                name="peak memory",
                before=memory(before.memory),
                after=memory(after.memory),
                note="",
            ),
            *_tools_moved(before.tools, after.tools),
        ),
        warnings=() if speed else _stored_warning(before.latency, after.latency, limits),
    )


def refuse_incomparable(before: Baseline, after: Baseline) -> None:
    """Raise ReportError unless both are of one model, target, device and set of evaluation images."""
    for what, then, now in (
        ("model", before.model, after.model),
        ("target", before.target, after.target),
        ("device", before.device, after.device),
        ("evaluation set", before.dataset, after.dataset),
    ):
        if then != now:
            raise ReportError(
                f"the baseline is for the {what} {then!r}, the build for {now!r}: not comparable"
            )
    if (before.evaluation_digest, before.images) != (after.evaluation_digest, after.images):
        raise ReportError(
            f"the baseline was made on {before.images} evaluation images and the build on {after.images} "
            "others: use the same images, or save a new baseline"
        )


def _size_gate(before: int, after: int, max_ratio: float) -> Gate:
    ratio = after / before
    return Gate(
        name="baseline_size",
        claim=f"engine at most {max_ratio:g} times its baseline's size",
        limit=max_ratio,
        value=ratio,
        interval=None,
        unit="times",
        origin=Origin.HOST,
        verdict=Verdict.PASS if ratio <= max_ratio else Verdict.FAIL,
        message=f"unchanged at {figures.size(after)}"
        if before == after
        else f"{figures.size(before)} became {figures.size(after)}, {_percent_change(ratio)}",
    )


def _speed_gate(speed: SpeedRatio, limits: Limits, after: Baseline) -> Gate:
    verdict = verdict_below(speed.interval, limits.max_latency_ratio)
    message = explain(speed.interval, "maximum", limits.max_latency_ratio, "times", verdict)
    if verdict is Verdict.INCONCLUSIVE:
        message += f"; {speed.rounds} rounds do not decide, more rounds or a quieter machine may"
    return Gate(
        name="baseline_latency",
        claim=f"latency at most {limits.max_latency_ratio:g} times its baseline's",
        limit=limits.max_latency_ratio,
        value=speed.ratio,
        interval=speed.interval,
        unit="times",
        origin=after.int8_origin,
        verdict=verdict,
        message=message,
    )


def _accuracy_moved(top1: PairedRate) -> Moved:
    return Moved(
        name="INT8 top-1",
        before=figures.percent(top1.fp32),
        after=figures.percent(top1.int8),
        note=f"{top1.worse} images worse, {top1.better} better"
        + ("; more than noise" if top1.more_than_noise else "; within noise"),
    )


def _size_moved(before: int, after: int) -> Moved:
    note = "" if before == after else _percent_change(after / before)
    return Moved(name="engine", before=figures.size(before), after=figures.size(after), note=note)


def _latency_moved(
    before: StoredLatency | None, after: StoredLatency | None, speed: SpeedRatio | None
) -> list[Moved]:
    rows = []
    for name in ("p50", "p90"):
        then, now = (getattr(latency, name) if latency else None for latency in (before, after))
        note = "a stored figure, not judged" if then and now else ""
        if name == "p50" and speed is not None:
            note = f"interleaved: {speed.ratio:.3f} times as long {figures.interval(speed.interval, 3)}"
        rows.append(Moved(name=f"latency {name}", before=_written(then), after=_written(now), note=note))
    return rows


def _tools_moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[Moved]:
    return [
        Moved(name=tool, before=before.get(tool, "not used"), after=after.get(tool, "not used"), note="")
        for tool in sorted(before.keys() | after.keys())
        if before.get(tool) != after.get(tool)
    ]


def _written(quantile: Quantile | None) -> str:
    return figures.NOT_MEASURED if quantile is None else figures.milliseconds(quantile.ms)


def _stored_warning(
    before: StoredLatency | None, after: StoredLatency | None, limits: Limits
) -> tuple[str, ...]:
    if before is None or after is None:
        return ()
    conditions = [(latency.origin, latency.batch, latency.threads) for latency in (before, after)]
    if conditions[0] != conditions[1]:
        return ("latency was measured under other conditions than the baseline's and is not compared",)
    highest = before.p50.interval.high
    if highest is None or after.p50.interval.low <= highest * limits.max_latency_ratio:
        return ()
    return (
        f"p50 is {_percent_change(after.p50.ms / before.p50.ms)} against a stored figure; "
        "to judge it, measure both engines interleaved",
    )


def _percent_change(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"
