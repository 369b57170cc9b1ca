"""A measurement of this machine has it for itself; other stages work beside each other."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.cache.code_at_start import ROOT
from pipeline.cache.quiet_machine import working_here
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store
from pipeline.progress import Progress, Silent

HOLD = """
import sys
from pathlib import Path
from pipeline.cache.quiet_machine import working_here
from pipeline.progress import Silent
with working_here(Path(sys.argv[1]), False, Silent()):
    print("works", flush=True)
    sys.stdin.read()
"""


class Waiting(Silent):
    """Keeps messages, and signals the first one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.said = threading.Event()

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.said.set()


@dataclass(frozen=True)
class Times(Stage):
    """Records whether other work could begin while it runs."""

    name: ClassVar[str] = "times"
    times_this_machine: ClassVar[bool] = True

    def run(self, output: Path, progress: Progress) -> None:
        others = threading.Event()

        def other() -> None:
            with working_here(output.parents[1], False, Silent()):
                others.set()

        threading.Thread(target=other, daemon=True).start()
        (output / "disturbed.txt").write_text(str(others.wait(0.2)))


@contextmanager
def at_work(root: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that works for the store at `root` until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], cwd=ROOT, stdin=-1, stdout=-1, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        yield process


def measured(root: Path, heard: Waiting) -> tuple[threading.Thread, threading.Event]:
    """Begin a measurement, and return when it waits."""
    ended = threading.Event()

    def measure() -> None:
        with working_here(root, True, heard):
            ended.set()

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    assert heard.said.wait(30)
    return thread, ended


def test_nothing_begins_while_a_stage_takes_times(store: Store) -> None:
    assert (store.make(Times(), Silent()).folder / "disturbed.txt").read_text() == "False"


def test_other_stages_work_beside_each_other_and_other_stores_do_not_wait(tmp_path: Path) -> None:
    with (
        at_work(tmp_path / "a"),
        working_here(tmp_path / "a", False, Silent()),
        working_here(tmp_path / "b", True, Silent()),
    ):
        pass


def test_a_measurement_waits_for_those_at_work_and_is_before_those_who_come_later(tmp_path: Path) -> None:
    heard = Waiting()
    with at_work(tmp_path) as process:
        thread, ended = measured(tmp_path, heard)
        later = threading.Thread(target=lambda: measured_later(tmp_path, ended), daemon=True)
        later.start()
        assert not ended.is_set()
        process.communicate()
    thread.join(30)
    later.join(30)
    assert ended.is_set()
    assert not later.is_alive()
    assert heard.lines == ["measure: waiting until no other build with this --out works on this machine"]


def measured_later(root: Path, ended: threading.Event) -> None:
    with working_here(root, False, Silent()):
        assert ended.is_set()


def test_a_killed_process_delays_no_other(tmp_path: Path) -> None:
    with at_work(tmp_path) as process:
        thread, ended = measured(tmp_path, Waiting())
        os.kill(process.pid, signal.SIGKILL)
        thread.join(30)
        assert ended.is_set()


def test_without_locks_a_measurement_says_that_it_may_be_disturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    heard = Waiting()
    with working_here(tmp_path, False, heard):
        pass
    assert not heard.lines
    with working_here(tmp_path, True, heard):
        pass
    assert len(heard.lines) == 1
    assert "other builds may disturb this" in heard.lines[0]


def test_an_error_of_the_work_itself_passes(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk"), working_here(tmp_path, True, Silent()):
        raise OSError("disk")
