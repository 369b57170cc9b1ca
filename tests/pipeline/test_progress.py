"""Several stages can be shown as one task: one bar that counts all of their units."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.progress import Advance, OneTask


class Recorded:
    """Keeps what is shown. Like a terminal, it has room for one bar."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self._open = False

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:
        assert not self._open
        self._open = True
        self.events.append(f"{what} of {total}")
        yield lambda count: self.events.append(f"+{count}")
        self._open = False
        self.events.append(f"{what} ends")

    def say(self, line: str) -> None:
        self.events.append(line)


def test_tasks_of_the_name_are_shown_as_one_from_the_first_that_runs() -> None:
    shown = Recorded()
    with OneTask(shown, "validate", 30) as progress:
        progress.skip(10)
        with progress.task("open the engine", None):
            pass
        with progress.task("validate", 10) as advance:
            advance(10)
        with progress.task("open the engine", None) as advance:
            advance(1)
        with progress.task("validate", 10) as advance:
            advance(4)
            progress.say("a picture is damaged")
            advance(6)
    assert shown.events == [
        *("open the engine of None", "open the engine ends", "validate of 30"),
        *("+10", "+10", "+4", "a picture is damaged", "+6", "validate ends"),
    ]


def test_nothing_is_shown_where_everything_was_done_before() -> None:
    shown = Recorded()
    with OneTask(shown, "validate", 30) as progress:
        progress.skip(30)
    assert shown.events == []
