"""The gate on INT8's speed: only a shown slowdown fails, and a wanted speed-up has to be shown."""

import numpy as np
import pytest

from benchmarks.latency_false_alarms import Noise, interleaved, phases, quiet
from pipeline.report.model.certainty import Interval, NotMeasured, Verdict
from pipeline.report.model.float_layers import TimedLayer
from pipeline.report.model.gate import Gate, overall
from pipeline.report.model.measured_latency import SpeedRatio
from pipeline.report.race import Race, race_gates
from pipeline.report.speed import speed_ratio
from targets.base import Origin

LAYERS = (
    TimedLayer(layer="conv1", int8=True, macs=1000, microseconds=10.0),
    TimedLayer(layer="norm", int8=False, macs=0, microseconds=60.0),
    TimedLayer(layer="conv2", int8=True, macs=1000, microseconds=20.0),
    TimedLayer(layer="fc", int8=True, macs=10, microseconds=10.0),
)


def race(ratio: float, low: float, high: float | None) -> Race:
    """INT8's time over FP32's."""
    found = SpeedRatio(ratio=ratio, interval=Interval(low=low, high=high), rounds=40, effective_rounds=30.0)
    return Race("FP32", found, Origin.HOST, LAYERS)


def judged(found: Race | NotMeasured, min_ratio: float = 1.0) -> Gate:
    (gate,) = race_gates(found, min_ratio)
    return gate


def test_int8_shown_to_be_slower_fails_and_the_layers_that_cost_it_are_named() -> None:
    gate = judged(race(10.0, 9.8, 10.2))
    assert gate.verdict is Verdict.FAIL
    assert gate.value == pytest.approx(0.1)
    assert "the 95 % interval [0.0980, 0.1020] lies below the minimum of 1;" in gate.message
    assert "norm (float) 60.00 %, conv2 (integers) 20.00 %" in gate.message
    assert "in float altogether 60.00 %" in gate.message
    assert overall((gate,)) is Verdict.FAIL


@pytest.mark.parametrize("interval", [(0.9, 1.1), (0.2, None), (0.0, None)])
def test_a_slowdown_that_is_not_shown_fails_no_build(interval: tuple[float, float | None]) -> None:
    """Too few rounds, or a busy machine: the interval has no upper end, or contains the limit."""
    gate = judged(race(0.95, *interval))
    assert gate.verdict is Verdict.PASS
    assert "not shown to be slower" in gate.message
    assert overall((gate,)) is Verdict.PASS


def test_more_than_as_fast_is_a_promise_that_has_to_be_shown() -> None:
    shown = judged(race(0.4, 0.39, 0.41), 2.0)
    assert shown.verdict is Verdict.PASS
    assert shown.message == "the 95 % interval [2.4390, 2.5641] lies above the minimum of 2"
    assert judged(race(0.5, 0.45, 0.55), 2.0).verdict is Verdict.INCONCLUSIVE
    assert judged(race(0.6, 0.55, 0.65), 2.0).verdict is Verdict.FAIL


def test_a_lower_limit_lets_int8_be_slower_by_so_much() -> None:
    assert judged(race(1.5, 1.49, 1.51), 0.5).verdict is Verdict.PASS
    assert judged(race(2.5, 2.49, 2.51), 0.5).verdict is Verdict.FAIL
    assert list(race_gates(race(10.0, 9.8, 10.2), 0.0)) == []


def test_without_a_measurement_only_a_promise_is_judged() -> None:
    absent = NotMeasured(reason="no board")
    assert list(race_gates(absent, 1.0)) == []
    assert judged(absent, 2.0).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("rounds", [6, 20, 200])
@pytest.mark.parametrize("noise", [quiet, phases])
def test_twice_as_fast_never_fails_and_twice_as_slow_never_is_called_faster(
    noise: Noise, rounds: int
) -> None:
    rng = np.random.default_rng(rounds)
    for _ in range(20):
        slowdowns = noise(10 * rounds, rng)
        faster = judged(Race("FP32", speed_ratio(*interleaved(slowdowns, 0.5)), Origin.HOST))
        assert faster.verdict is Verdict.PASS
        slower = judged(Race("FP32", speed_ratio(*interleaved(slowdowns, 2.0)), Origin.HOST))
        assert slower.verdict is Verdict.FAIL or "not shown" in slower.message
