from dataclasses import replace

import numpy as np
import pytest

from benchmarks.latency_false_alarms import Noise, drifting, interleaved, interrupted, phases, quiet, rates
from pipeline.errors import ReportError
from pipeline.report.model.certainty import Verdict
from pipeline.report.speed import judge_speed, speed_ratio
from tests.pipeline.report.samples import measurement


def test_the_ratio_is_that_of_neighbours_so_a_drift_cancels() -> None:
    slowdowns = np.linspace(1.0, 3.0, 2000)  # the machine gets three times slower while both run
    found = speed_ratio(*interleaved(slowdowns, 1.10))
    assert found.ratio == pytest.approx(1.10, abs=0.003)
    assert found.rounds == 200


def test_a_five_percent_slower_engine_fails_and_the_same_engine_passes() -> None:
    rng = np.random.default_rng(2)
    slower = speed_ratio(*interleaved(quiet(2000, rng), 1.05))
    assert judge_speed(slower, 1.02) is Verdict.FAIL
    same = speed_ratio(*interleaved(quiet(2000, rng), 1.0))
    assert judge_speed(same, 1.02) is Verdict.PASS
    few = speed_ratio(*interleaved(phases(60, rng), 1.02))
    assert judge_speed(few, 1.02) is Verdict.INCONCLUSIVE


@pytest.mark.slow
@pytest.mark.parametrize("noise", [quiet, interrupted, phases, drifting])
def test_false_alarms_stay_below_the_stated_rate(noise: Noise) -> None:
    alarms, caught, _ = rates(noise, rounds=60, comparisons=400, seed=7)
    assert alarms <= 0.025 + 0.01  # the second term: three standard errors at the 1.5 % that was found
    assert caught >= 0.99


def test_runs_that_were_not_interleaved_are_refused() -> None:
    one, other = measurement(1.0, runs=100), measurement(1.0, runs=90)
    for before, after in (
        (one, one),
        (replace(one, block=5), replace(other, block=5)),
        (replace(one, block=5), one),
    ):
        with pytest.raises(ReportError, match="measured alternately"):
            speed_ratio(before, after)
