"""Values of --on that are accepted, and those that are refused."""

import pytest

from pipeline.errors import UsageError
from pipeline.units.float_canary import canary_digest
from pipeline.units.working_place import LocalProcesses, RunningScheduler, SlurmJobs, parse_place


def test_the_three_kinds_of_places() -> None:
    assert parse_place("local:2") == LocalProcesses(2)
    assert parse_place("tcp://big.machine:8786") == RunningScheduler("tcp://big.machine:8786")
    assert parse_place("tls://10.0.0.1:8786") == RunningScheduler("tls://10.0.0.1:8786")
    assert parse_place("slurm:jobs=32") == SlurmJobs(32)


@pytest.mark.parametrize(
    "text", ["", "local", "local:0", "local:two", "tcp://host", "slurm:32", "http://host:1"]
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--on is .*; it takes local:2, tcp://host:8786 or slurm:jobs=32"):
        parse_place(text)


def test_the_canary_says_the_same_twice() -> None:
    assert canary_digest() == canary_digest()
