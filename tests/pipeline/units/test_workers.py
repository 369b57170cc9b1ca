"""Units end with a result or with a failure that says where, why and how to repeat it."""

import pytest

from pipeline.progress import Silent
from pipeline.units.unit import UnitError, UnitOnBoardError
from pipeline.units.workers import Here
from tests.pipeline.units.sums import Sum, ThrottledSum


def test_this_process_does_all_units_in_order() -> None:
    units = [Sum((1, 2)), Sum((3,))]
    done = list(Here().run(units, Silent()))
    assert [one.unit for one in done] == units
    assert [one.value() for one in done] == [3, 3]


def test_a_failure_stops_no_other_and_says_what_to_do() -> None:
    failed, fine = Here().run([Sum(()), Sum((1,))], Silent())
    assert fine.value() == 1
    with pytest.raises(UnitError) as raised:
        failed.value()
    message = str(raised.value)
    assert "sum of 0 failed on this process: There are no numbers. Give some." in message
    assert "adding 0 numbers" in message
    assert f"numbers {failed.unit.digest}" in message
    assert f"edgec unit run {failed.unit.digest[:12]}" in message


def test_a_bug_keeps_its_traceback() -> None:
    (done,) = Here().run([Sum((0,))], Silent())
    assert done.failure is not None
    assert done.failure.is_bug
    assert "ZeroDivisionError" in done.failure.message
    assert "in run" in done.failure.log


def test_a_board_that_fails_is_told_from_a_unit_that_does() -> None:
    (done,) = Here().run([ThrottledSum((1,), board="pi5")], Silent())
    with pytest.raises(UnitOnBoardError, match="sum of 1, on this process: pi5 throttled"):
        done.value()
