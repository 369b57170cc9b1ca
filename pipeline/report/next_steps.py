"""What to do where a gate does not pass: one or two things, with the numbers."""

import math
from typing import assert_never

from pipeline.report import figures
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.picture_latency import EndToEnd
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.plausibility import NAME as PLAUSIBLE
from pipeline.report.race import GATE as SPEED
from pipeline.report.sections.end_to_end import steps

RUNS_FOR = {"p50_ms": 6, "p90_ms": 36, "p99_ms": 368}
"""With fewer runs no order statistic bounds the quantile from above: 1 - q**n < 97.5 %."""

FASTER = (
    "Set threads under [latency], such as threads = 2, or take a smaller network or input"
    " (resnet18-narrow2-128px)."
)


def with_next_step(gate: Gate, accuracy: Accuracy | PixelAccuracy, whole: EndToEnd | None) -> Gate:
    """Return a gate that says what to do next; one that passes as it is."""
    match gate.verdict:
        case Verdict.PASS:
            return gate
        case Verdict.INCONCLUSIVE:
            return gate.replace(next_step=_to_decide(gate, accuracy))
        case Verdict.FAIL:
            return gate.replace(next_step=_to_pass(gate, accuracy, whole))
        case Verdict.MEANINGLESS:
            return gate.replace(next_step=_to_mean_something(gate, accuracy))
        case _:
            assert_never(gate.verdict)


def _to_decide(gate: Gate, accuracy: Accuracy | PixelAccuracy) -> str:
    if gate.name in RUNS_FOR:
        return _to_decide_latency(gate)
    if gate.name == SPEED:
        return "Close other programs, or measure longer: seconds = 60 under [latency]."
    images = accuracy.rates[0][1].images
    wanted = gate.images_to_decide
    add = f"Add {wanted - images:,} evaluation images to the {images:,}" if wanted and wanted > images else ""
    said = ", or ".join(filter(None, [add, _looser(gate)]))
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _looser(gate: Gate) -> str:
    """Name the limit that these images can decide."""
    interval = gate.interval
    if interval is None or gate.name == PLAUSIBLE:
        return ""
    what = "set {} = {} under [validation], which these images do decide"
    if gate.name.startswith("max_drop") and interval.high is not None:
        return what.format("max_drop", f"{math.floor(10 * interval.high + 1) / 10:g}")
    if gate.name == "min_ratio":
        return what.format(gate.name, f"{math.ceil(1000 * interval.low - 1) / 1000:g}")
    if gate.name == "min_top1":
        return what.format(gate.name, f"{math.ceil(10 * interval.low - 1) / 10:g}")
    return ""


def _to_decide_latency(gate: Gate) -> str:
    if gate.interval is None:
        if "no device" in gate.message:
            return "Measure there: --device ssh://user@host."
        return ""
    if gate.interval.high is None:
        return f"At least {RUNS_FOR[gate.name]} runs are needed: seconds = 60 under [latency]."
    slack = f"{gate.name} = {figures.significant(gate.interval.high * 1.01)} under [latency]"
    return f"Close other programs and build again, or set {slack}, which these runs do decide."


def _to_pass(gate: Gate, accuracy: Accuracy | PixelAccuracy, whole: EndToEnd | None) -> str:
    if gate.name in RUNS_FOR:
        return _to_be_faster(gate, whole)
    if gate.name == SPEED:
        return (
            "`edgec tune` tries other blocks for the layers named here; a network without them, or"
            " threads = 2 under [latency], may be faster."
        )
    if gate.name == "min_top1" and isinstance(accuracy, Accuracy) and 100 * accuracy.top1.fp32 < gate.limit:
        fp32 = figures.percent(accuracy.top1.fp32)
        return f"FP32 itself has {fp32}: train longer or on more images; no quantisation corrects that."
    points = f"{gate.limit:g}" if gate.unit == "points" else "1"
    return (
        f"Set max_drop = {points} under [calibration], which leaves the layers that cost most in float, or"
        ' recipe = "auto" there, which tries several.'
    )


def _to_be_faster(gate: Gate, whole: EndToEnd | None) -> str:
    if whole is not None and "end to end" in gate.claim:
        name, step = max(steps(whole)[:-1], key=lambda one: one[1].p50.ms)
        share = f"{figures.milliseconds(step.p50.ms)} of {figures.milliseconds(whole.whole.p50.ms)}"
        advice = {
            "decode": "Send smaller pictures, or frames that are not compressed.",
            "resize and crop": "Send smaller pictures.",
        }.get(name, FASTER)
        return f"Most of the time is for {name}: {share}. {advice}"
    return FASTER


def _to_mean_something(gate: Gate, accuracy: Accuracy | PixelAccuracy) -> str:
    if gate.name != PLAUSIBLE:
        return "Mend FP32 first."
    if isinstance(accuracy, Accuracy) and sum(one.images > 0 for one in accuracy.per_class) == 1:
        return "Add evaluation images of other classes."
    return (
        "Compare the preprocessing and the order of classes with those of training: the diagnosis in this"
        " report has tried the usual ones, and `edgec doctor NET.onnx --data PHOTOS` finds those of an ONNX"
        " file. A network that was hardly trained guesses too."
    )
