"""INT8 or FP16? The faster precision whose accuracy passes."""

from collections.abc import Sequence
from typing import Literal

from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import Gate, overall
from pipeline.report.model.measured_latency import SpeedRatio
from pipeline.report.model.paired_figures import PairedRate, PairedScore
from pipeline.report.sections.latency import speed_up
from pipeline.report.sections.recommendation import Recommendation


def recommend(
    int8: Sequence[Gate], fp16: Sequence[Gate], fp16_top1: PairedRate | PairedScore, speed: SpeedRatio
) -> Recommendation:
    """Choose by the accuracy gates of both and INT8's time over FP16's; `fp16_top1` has FP16 as its INT8.

    A gate that is inconclusive has not passed. INT8 has to be shown to be faster.
    """
    verdicts = overall(tuple(int8)), overall(tuple(fp16))
    ship, why = _choose(*verdicts, speed)
    return Recommendation(
        ship=ship,
        why=why,
        fp16_top1=fp16_top1.int8,
        fp16_drop_points=fp16_top1.drop_points,
        fp16_drop_interval=fp16_top1.drop_interval,
        int8_accuracy=verdicts[0],
        fp16_accuracy=verdicts[1],
        speed=speed,
    )


def _choose(int8: Verdict, fp16: Verdict, speed: SpeedRatio) -> tuple[Literal["INT8", "FP16"] | None, str]:
    said = f"INT8 is {speed_up(speed, than='FP16')}"
    if int8 is not Verdict.PASS and fp16 is not Verdict.PASS:
        return None, f"neither passes the accuracy gates: INT8 {int8}, FP16 {fp16}; {said}"
    if int8 is not Verdict.PASS:
        return "FP16", f"INT8's accuracy does not pass ({int8}); {said}"
    if fp16 is not Verdict.PASS:
        return "INT8", f"FP16's accuracy does not pass ({fp16}), INT8's does; {said}"
    if speed.interval.high is not None and speed.interval.high < 1:
        return "INT8", f"both pass the accuracy gates, and {said}"
    return "FP16", f"INT8 is not shown to be faster, and FP16 loses less: {said}"
