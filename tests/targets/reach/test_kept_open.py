from dataclasses import dataclass, field

import pytest

from targets.reach.kept_open import kept_open, one_session
from targets.reach.remote import StreamRunner


@dataclass
class Started:
    """Runners by order, and which were closed."""

    count: int = 0
    closed: list[int] = field(default_factory=list)

    def __call__(self) -> StreamRunner:
        self.count += 1
        return ClosingRunner(self.count, self.closed)


class ClosingRunner(StreamRunner):
    """A runner that records only when it is closed."""

    def __init__(self, number: int, closed: list[int]) -> None:
        self.number, self.closed = number, closed

    def close(self) -> None:
        self.closed.append(self.number)


def test_outside_a_session_each_use_starts_and_ends_one() -> None:
    start = Started()
    for _ in range(2):
        with kept_open("engine", start):
            pass
    assert (start.count, start.closed) == (2, [1, 2])


def test_in_a_session_the_same_is_started_once_and_ends_with_it() -> None:
    start = Started()
    with one_session():
        for what in ("engine", "engine", "another", "engine"):
            with kept_open(what, start):
                pass
        assert (start.count, start.closed) == (2, [])
    assert start.closed == [2, 1], "the last first"


def test_a_session_that_fails_ends_its_programs() -> None:
    start = Started()
    with pytest.raises(ValueError, match="cut"), one_session(), kept_open("engine", start):
        raise ValueError("cut")
    assert start.closed == [1]
