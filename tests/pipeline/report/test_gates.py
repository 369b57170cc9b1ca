import numpy as np
import pytest

from pipeline.report.gates import (
    Bound,
    drop_gate,
    explain,
    floor_gate,
    ratio_gate,
    verdict_above,
    verdict_below,
)
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.paired_figures import PairedRate
from pipeline.report.paired import paired_rate
from targets.base import Origin


def rate(images: int, worse: int, better: int, both: int | None = None) -> PairedRate:
    both = int(0.9 * images) if both is None else both
    return paired_rate(np.array([[images - worse - better - both, better], [worse, both]]))


def test_ten_thousand_images_decide_where_two_hundred_do_not() -> None:
    few, many = (
        drop_gate(rate(200, 3, 2), 1.0, Origin.HOST),
        drop_gate(rate(10_000, 150, 100), 1.0, Origin.HOST),
    )
    assert few.verdict is Verdict.INCONCLUSIVE
    assert few.images_to_decide
    assert f"about {few.images_to_decide:,} images would decide" in few.message
    assert many.verdict is Verdict.PASS
    assert many.images_to_decide is None


def test_a_clear_loss_fails() -> None:
    gate = drop_gate(rate(2000, 200, 40), 1.0, Origin.DEVICE)
    assert gate.verdict is Verdict.FAIL
    assert gate.origin is Origin.DEVICE
    assert "lies above the maximum of 1.00 points" in gate.message


@pytest.mark.parametrize(
    ("bound", "verdict", "words"),
    [
        ("maximum", Verdict.PASS, "lies below the maximum of 2"),
        ("maximum", Verdict.FAIL, "lies above the maximum of 2"),
        ("maximum", Verdict.INCONCLUSIVE, "contains the maximum of 2"),
        ("minimum", Verdict.PASS, "lies above the minimum of 2"),
        ("minimum", Verdict.FAIL, "lies below the minimum of 2"),
        ("minimum", Verdict.INCONCLUSIVE, "contains the minimum of 2"),
    ],
)
def test_a_gate_says_on_which_side_of_its_limit_the_interval_lies(
    bound: Bound, verdict: Verdict, words: str
) -> None:
    where = {Verdict.INCONCLUSIVE: (1.0, 3.0)}
    low, high = where.get(verdict, (0.5, 1.5) if words.startswith("lies below") else (2.5, 3.5))
    interval = Interval(low=low, high=high)
    judge = verdict_below if bound == "maximum" else verdict_above
    assert judge(interval, 2.0) is verdict
    written = f"[{low:.4f}, {high:.4f}]"
    assert explain(interval, bound, 2.0, "times", verdict) == f"the 95 % interval {written} {words}"


def test_gates_with_a_least_value_name_a_minimum() -> None:
    kept = ratio_gate(rate(10_000, 10, 10), 0.99, Origin.HOST)
    assert kept.message.endswith("lies above the minimum of 0.99 of FP32")
    low = floor_gate(rate(10_000, 10, 10), 99.0, Origin.HOST)
    assert low.verdict is Verdict.FAIL
    assert low.message.endswith("lies below the minimum of 99 %")


def test_a_drop_exactly_at_the_limit_says_that_more_images_do_not_help() -> None:
    gate = drop_gate(rate(1000, 20, 10), 1.0, Origin.HOST)
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert gate.images_to_decide is None
    assert "no number of images would decide" in gate.message


@pytest.mark.parametrize(
    ("worse", "better", "verdict"),
    [(10, 10, Verdict.PASS), (400, 100, Verdict.FAIL), (120, 40, Verdict.INCONCLUSIVE)],
)
def test_keeping_99_percent_of_fp32(worse: int, better: int, verdict: Verdict) -> None:
    gate = ratio_gate(rate(10_000, worse, better), 0.99, Origin.HOST)
    assert gate.verdict is verdict
