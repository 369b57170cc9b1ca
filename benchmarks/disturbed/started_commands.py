"""Commands of edgec that are started, signalled and waited for."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.faults import Breach
from tests.forked_program import be_the_program

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    """A command that was started in a process group of its own."""

    pid: int
    errors: Path

    def ended(self, seconds: float) -> bool:
        """Wait so long. Return whether it ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
            time.sleep(0.02)
        return False

    def signal(self, number: signal.Signals, alone: bool = False) -> None:
        """Send a signal to all of its processes, or to the first alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number) if alone else os.killpg(self.pid, number)

    def code(self) -> int:
        """Wait for its end. Return its exit code. Raises Breach if it ended in a traceback."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if "Traceback" in (said := self.errors.read_text(errors="replace")):
            raise Breach(said[-3000:])
        return code

    def succeed(self, what: str) -> None:
        """Raise Breach if it fails."""
        if code := self.code():
            raise Breach(f"{what}: exit code {code}: {self.errors.read_text(errors='replace')[-2000:]}")


@dataclass
class Place:
    """A folder for what commands say."""

    folder: Path
    started: int = 0

    def start(self, command: Sequence[str]) -> Running:
        """Fork `edgec` from this process, which has loaded everything and has one thread."""
        self.started += 1
        streams = [self.folder / f"{stream}{self.started}" for stream in ("out", "err")]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setsid()
                code = be_the_program([str(self.folder), *command], [str(path) for path in streams])
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        return Running(child, streams[1])

    @cached_property
    def clock(self) -> Path:
        """The clock that jumps, compiled."""
        library = self.folder / "clock.so"
        source = Path(__file__).with_name("jumping_clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", source, "-o", library], check=True)
        return library

    def start_with_jumping_clock(self, command: Sequence[str]) -> Running:
        """Start a new Python, since the clock is chosen when a program is loaded."""
        self.started += 1
        errors = self.folder / f"err{self.started}"
        with errors.open("wb") as stream:
            child = subprocess.Popen(
                [sys.executable, "-m", "pipeline", *command],
                cwd=ROOT,
                env={**os.environ, "LD_PRELOAD": str(self.clock)},
                stdout=subprocess.DEVNULL,
                stderr=stream,
                start_new_session=True,
            )
        child.returncode = 0  # waited for by number, as forks are
        return Running(child.pid, errors)
