"""Processes of a cluster that are killed leave the bytes of one process."""

import pytest

from benchmarks.killed_workers import trials

pytestmark = pytest.mark.slow


def test_kills_of_workers_scheduler_and_command() -> None:
    found = trials(rounds=3, seed=5)
    assert found.killed.total() > 1  # a quick machine ends before others come
    assert (found.rounds, found.repeated, found.different) == (3, 0, 0)
