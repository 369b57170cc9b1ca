"""Shared validations that are killed give the bytes of one machine."""

from benchmarks.shares import trials


def test_two_rounds() -> None:
    found = trials(rounds=2, seed=1)
    assert (found.merged, found.different) == (2, 0)
    assert found.shares >= 2
