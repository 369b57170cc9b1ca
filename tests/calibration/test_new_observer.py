"""A new observer that nothing makes is a type error. Corrections: see test_corrections."""

from pathlib import Path

from tests.forgotten import missed


def test_a_new_observer_is_missed_where_observers_are_made(types_of_a_run: Path) -> None:
    new = '    MSE = "mse"\n    MEDIAN = "median"\n'
    found = missed("calibration", "calibration/scheme.py", '    MSE = "mse"\n', new, types_of_a_run)
    assert set(found) == {"calibration/observers.py"}
