"""Only the gates that were asked for are judged, on the figures they are about."""

from pipeline.report.latency_gates import LatencyLimits
from pipeline.report.limits import GateLimits
from pipeline.report.model.certainty import Interval, NotMeasured, Verdict
from pipeline.report.model.measured_latency import SpeedRatio
from pipeline.report.race import Race
from targets.base import Origin
from tests.pipeline.report.samples import report as sample_report

REPORT = sample_report()
FASTER = SpeedRatio(ratio=0.5, interval=Interval(low=0.49, high=0.51), rounds=100, effective_rounds=90.0)


def judged(limits: GateLimits) -> dict[str, Verdict]:
    race = Race("FP32", FASTER, Origin.HOST)
    gates = limits.judge(REPORT.accuracy, REPORT.latency_int8, REPORT.end_to_end, Origin.HOST, race)
    return {gate.name: gate.verdict for gate in gates}


def test_fp32_itself_and_the_drop_are_always_judged() -> None:
    assert list(judged(GateLimits(max_drop=50.0))) == ["plausible", "max_drop"]


def test_every_limit_that_is_set_is_a_gate() -> None:
    milliseconds = {"p50_ms": 1e6, "p90_ms": 1e6, "p99_ms": 1e-9}
    latency = LatencyLimits(**milliseconds, judge="model")
    limits = GateLimits(max_drop=50.0, min_ratio=0.5, min_top1=60.0, latency=latency, min_speedup=1.0)
    verdicts = judged(limits)
    accuracy = ["plausible", "max_drop", "min_ratio", "min_top1"]
    assert list(verdicts) == [*accuracy, *milliseconds, "min_speedup"]
    assert verdicts["max_drop"] is verdicts["min_ratio"] is verdicts["p50_ms"] is Verdict.PASS
    assert verdicts["p99_ms"] is Verdict.FAIL


def test_a_latency_that_was_not_measured_passes_no_gate() -> None:
    limits = GateLimits(max_drop=50.0, latency=LatencyLimits(p90_ms=1e6))
    absent = NotMeasured(reason="no device")
    gates = list(limits.judge(REPORT.accuracy, absent, None, Origin.EMULATOR, absent))
    assert gates[-1].verdict is Verdict.INCONCLUSIVE
