"""The best row within a budget, and the front of accuracy against cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.best_rows import choices_of, contests_of, front, tally
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.matrix_report import Budget, BudgetChoice, BuiltRow, MatrixReport
from tests.pipeline.report.matrix_rows import failed, finished, waiting


def chosen(rows: list[BuiltRow], *budgets: Budget) -> dict[str, BudgetChoice]:
    return {one.budget: one for one in choices_of(rows, contests_of(rows), budgets)}


def test_the_most_accurate_row_that_fits_is_chosen_and_the_faster_of_equals() -> None:
    rows = [
        finished("big", right=960, ms=3.0, engine=900),
        finished("small", right=900, ms=1.0, engine=100),
        finished("slow-small", right=900, ms=2.0, engine=90),
    ]
    found = chosen(
        rows,
        Budget(name="fast", p50_ms=2.5),
        Budget(name="tiny", engine_kib=95.0),
        Budget(name="none", p50_ms=2.5, engine_kib=50.0),
    )
    assert {name: one.best for name, one in found.items()} == {
        "fast": "small",
        "tiny": "slow-small",
        "none": None,
        "any cost": "big",
    }
    assert (found["fast"].fitting, found["none"].fitting) == (2, 0)


def test_a_latency_fits_if_its_whole_interval_does() -> None:
    rows = [finished("near", right=900, ms=1.98, spread=0.05)]
    assert chosen(rows, Budget(name="two", p50_ms=2.0))["two"].best is None
    assert chosen(rows, Budget(name="more", p50_ms=2.1))["more"].best == "near"


def test_what_was_not_measured_fits_no_limit_on_it_and_is_counted() -> None:
    rows = [
        finished("emulated", right=900, ms=None, instructions=5_000_000),
        finished("timed", right=850, ms=1.0),
    ]
    found = chosen(rows, Budget(name="fast", p50_ms=2.0), Budget(name="few", instructions_m=6.0))
    assert (found["fast"].best, found["fast"].unknown) == ("timed", 1)
    assert (found["few"].best, found["few"].unknown) == ("emulated", 1)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.MEANINGLESS])
def test_a_row_whose_gates_fail_is_never_chosen(verdict: Verdict) -> None:
    rows = [finished("wrong", right=990, ms=1.0, verdict=verdict), finished("right", right=800, ms=2.0)]
    assert chosen(rows)["any cost"].best == "right"


def test_a_difference_within_noise_is_said_and_one_beyond_is_not() -> None:
    rows = [finished(name, right=count, ms=1.0) for name, count in (("a", 905), ("b", 904), ("c", 700))]
    assert chosen(rows)["any cost"].not_worse == ("b",)


def test_rows_of_other_images_targets_or_devices_do_not_compete() -> None:
    rows = [
        finished("one", right=900, ms=1.0),
        finished("images", right=990, ms=0.1, evaluation=8),
        finished("board", right=990, ms=0.1, device="pi5"),
        finished("target", right=990, ms=0.1, target="rpi5"),
    ]
    contests = contests_of(rows)
    assert [contest.rows for contest in contests] == [("one",), ("images",), ("board",), ("target",)]
    assert [one.best for one in choices_of(rows, contests, ())] == ["one", "images", "board", "target"]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=12))
def test_the_front_is_what_no_other_row_dominates(points: list[tuple[int, int]]) -> None:
    floats = [(float(cost), float(rate)) for cost, rate in points]
    better = {
        i
        for i, (cost, rate) in enumerate(floats)
        if not any((c <= cost and r >= rate) and (c < cost or r > rate) for c, r in floats)
    }
    assert set(front(floats)) == better
    assert np.all(np.diff([floats[i][0] for i in front(floats)]) >= 0)


def test_all_rows_together_end_as_the_worst_of_them() -> None:
    def code(*rows: BuiltRow) -> int:
        return MatrixReport(name="m", rows=rows, contests=(), choices=()).exit_code

    passed, unsure = finished("a", right=900), finished("b", right=900, verdict=Verdict.INCONCLUSIVE)
    assert code(passed, unsure, waiting("w")) == 0
    assert code(passed, failed("f", "the disk is full")) == 1
    assert code(passed, finished("c", right=1, verdict=Verdict.FAIL)) == 1
    assert code(failed("f", "x"), finished("c", right=1, verdict=Verdict.MEANINGLESS)) == 5


def test_rows_are_counted_in_words() -> None:
    rows = [
        finished("a", right=9),
        finished("b", right=9, verdict=Verdict.FAIL),
        failed("f", "x"),
        waiting("w"),
    ]
    assert tally(rows) == "1 pass, 1 fail, 1 without a result, 1 not built yet"


def test_an_interval_without_an_upper_end_fits_nothing() -> None:
    row = finished("few", right=900, ms=1.0)
    assert row.figures
    assert row.figures.p50
    open_above = row.figures.p50.replace(interval=Interval(low=0.9, high=None))
    row = row.replace(figures=row.figures.replace(p50=open_above))
    assert chosen([row], Budget(name="fast", p50_ms=100.0))["fast"].best is None
