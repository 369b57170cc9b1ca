"""Limits on latency are end to end, unless they are set for the model alone."""

import pytest

from pipeline.report.from_measurement import latency_of
from pipeline.report.latency_gates import Judged, LatencyLimits
from pipeline.report.model.certainty import Interval, NotMeasured, Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.model.measured_latency import MeasuredLatency, Quantile
from pipeline.report.model.picture_latency import EndToEnd, StepTime
from targets.base import Origin
from tests.pipeline.report.samples import measurement

FIVE = latency_of(measurement(milliseconds=5.0, runs=500), Origin.HOST, threads=1)
ABSENT = NotMeasured(reason="no board connected")


def step(ms: float) -> StepTime:
    quantile = Quantile(ms=ms, interval=Interval(low=0.9 * ms, high=1.1 * ms))
    return StepTime(p50=quantile, p90=quantile, p99=quantile, runs=321)


def whole(ms: float, noisy: tuple[str, ...] = ()) -> EndToEnd:
    size = (720, 1280)
    return EndToEnd(
        origin=Origin.HOST,
        pictures=64,
        smallest=size,
        largest=size,
        threads=1,
        decode=step(ms / 2),
        fit=step(ms / 4),
        model=step(ms / 4),
        whole=step(ms),
        noisy=noisy,
    )


def judged(
    limit: float,
    latency: MeasuredLatency = FIVE,
    timed: EndToEnd | None = None,
    judge: Judged | None = "end_to_end",
) -> Gate:
    (gate,) = LatencyLimits(p90_ms=limit, judge=judge).gates(latency, timed)
    return gate


def test_it_is_judged_by_its_whole_interval() -> None:
    assert judged(50.0, judge="model").verdict is Verdict.PASS
    assert judged(1.0, judge="model").verdict is Verdict.FAIL
    assert judged(FIVE.p90.ms, judge="model").verdict is Verdict.INCONCLUSIVE


def test_a_fast_model_passes_no_limit_on_a_slow_picture() -> None:
    assert judged(20.0, timed=whole(60.0)).verdict is Verdict.FAIL
    assert judged(20.0, timed=whole(60.0)).value == 60.0
    assert judged(20.0, timed=whole(60.0), judge="model").verdict is Verdict.PASS
    assert judged(60.0, timed=whole(60.0)).verdict is Verdict.INCONCLUSIVE
    assert "321 runs" in judged(60.0, timed=whole(60.0)).message
    assert judged(70.0, timed=whole(60.0)).verdict is Verdict.PASS


def test_the_claim_says_what_is_judged() -> None:
    assert judged(20.0, timed=whole(9.0)).claim == "p90 latency end to end below 20 ms"
    assert judged(20.0, judge="model").claim == "p90 latency of the model below 20 ms"
    assert "(noisy: the load" in judged(20.0, timed=whole(9.0, noisy=("the load was 9",))).message


def test_where_only_the_model_was_timed_it_can_fail_but_not_pass() -> None:
    """Decoding and resizing take time too: how much is not known there."""
    failed = judged(1.0)
    assert failed.verdict is Verdict.FAIL
    assert failed.message.startswith("of the model alone the 95 % interval")
    open_question = judged(50.0)
    assert open_question.verdict is Verdict.INCONCLUSIVE
    assert open_question.value is None
    assert 'judge = "model" under [latency]' in open_question.message


def test_without_a_word_a_board_is_judged_by_the_model_and_says_so() -> None:
    passed = judged(50.0, judge=None)
    assert passed.verdict is Verdict.PASS
    assert passed.claim == "p90 latency of the model below 50 ms"
    assert (
        "of the model alone, since decoding and resizing are timed on the build machine only"
        in passed.message
    )
    assert judged(1.0, judge=None).verdict is Verdict.FAIL
    assert judged(20.0, timed=whole(60.0), judge=None).claim == "p90 latency end to end below 20 ms"
    assert judged(20.0, timed=whole(60.0), judge=None).verdict is Verdict.FAIL


def test_p99_of_a_hundred_runs_cannot_pass() -> None:
    latency = latency_of(measurement(milliseconds=5.0, runs=100), Origin.HOST, threads=1)
    assert latency.p99.interval.high is None
    (gate,) = LatencyLimits(p99_ms=50.0, judge="model").gates(latency, None)
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert "unbounded" in gate.message


@pytest.mark.parametrize("judge", ["end_to_end", "model", None])
def test_what_was_not_measured_is_inconclusive_and_has_no_figure(judge: Judged | None) -> None:
    gate = judged(10.0, latency=ABSENT, judge=judge)
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert gate.value is None
    assert gate.origin is None
    assert gate.message == "not measured: no board connected"
