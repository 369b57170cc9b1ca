"""An adapter that takes frames and tells the time of each."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

PROGRAMS = Path(__file__).parent
FrameTimes = list[tuple[float, float]]
"""Of each frame the seconds that its caller saw, and those of edgec_run_frame in it."""


class OwnTime:
    """What timed_run.c tells of an adapter's runs. A context manager."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(4096))
        self.environment = {**os.environ, "EDGEC_OWN_TIME": str(path)}
        self._file = path.open("r+b")
        self._held = mmap(self._file.fileno(), 16)

    def __enter__(self) -> "OwnTime":
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        self._file.close()

    def processor_seconds(self) -> float:
        """Return the processor time of all runs."""
        return int.from_bytes(self._held[8:], "little") * 1e-9


@dataclass(frozen=True)
class TimedAdapter:
    """Takes so many frames, and returns the times of each. `processes`: its own, and others for it."""

    take: Callable[[int], FrameTimes]
    processes: tuple[int, ...]

    def __call__(self, frames: int) -> FrameTimes:
        """Take the frames."""
        return self.take(frames)

    def processor_seconds(self) -> float:
        """Return the processor time of its processes since they began (clock_getcpuclockid)."""
        return sum(time.clock_gettime(~process << 3 | 2) for process in self.processes)


@contextmanager
def by_program(
    command: list[str | Path], environment: Mapping[str, str] | None = None
) -> Iterator[TimedAdapter]:
    """Start a program of this folder, which reads numbers of frames and writes their times."""
    told = [str(one) for one in command]
    with subprocess.Popen(
        told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:

        def timed(frames: int) -> FrameTimes:
            print(frames, file=process.stdin, flush=True)
            line = process.stdout.readline() if process.stdout else ""
            found = [int(one) * 1e-9 for one in line.split()]
            if len(found) != 2 * frames:
                raise RuntimeError(f"{told[0]} has ended, or told the times of {len(found) // 2} frames")
            return list(zip(found[::2], found[1::2], strict=True))

        yield TimedAdapter(timed, (process.pid,))
        process.communicate()
