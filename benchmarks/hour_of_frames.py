"""Checks that memory, open files and threads do not grow over an hour's worth of frames.

nice -n 19 python -m benchmarks.hour_of_frames             # 108,000 frames of 720p, NV12, through each

An hour of 30 frames a second runs at full speed through libedgec in a C program, through edgec-serve by its
socket and by shared memory. After each thousand frames the program's memory, files and threads are read from
/proc. The first thousand are not counted: they touch what was allocated.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.adapter_equality import MACHINE, linked
from benchmarks.adapter_overhead import (
    PROGRAMS,
    TimedAdapter,
    by_http,
    by_program,
    by_shared_memory,
    residual_network,
)
from targets.runtime.compiled_libedgec import ARCHIVE, COMPILED
from tests.targets.runtime.libedgec.camera_scenes import Scene
from tests.targets.runtime.serve.frame_request import request_of

PART = 1000
ALLOWED_GROWTH = 128
"""KiB. Less than a page for each hundred frames, and than one frame, which has 1,350."""


@dataclass(frozen=True)
class HeldByProcess:
    """What a process holds."""

    resident: int
    files: int
    threads: int

    @classmethod
    def of(cls, process: int) -> "HeldByProcess":
        """Read it from /proc; memory in KiB."""
        folder = Path(f"/proc/{process}")
        told = dict(re.findall(r"(\w+):\s+(\d+)", (folder / "status").read_text()))
        return cls(int(told["VmRSS"]), len(list((folder / "fd").iterdir())), int(told["Threads"]))


def children() -> set[int]:
    """Return the processes that this one has started, without Python's own helper for shared memory."""
    tasks = Path("/proc/self/task").iterdir()
    every = {int(one) for task in tasks for one in (task / "children").read_text().split()}
    return {one for one in every if "python" not in Path(f"/proc/{one}/comm").read_text()}


@contextmanager
def watched(way: AbstractContextManager[TimedAdapter]) -> Iterator[tuple[int, TimedAdapter]]:
    """Start a way and find its process."""
    before = children()
    with way as timed:
        yield _started_since(before), timed


def _started_since(before: set[int]) -> int:
    """Return the process that is new. A child that has not yet begun its program still has Python's name."""
    for _ in range(200):
        found = children() - before
        if len(found) == 1:
            return found.pop()
        time.sleep(0.05)
    raise RuntimeError(f"a way has started {len(found)} processes, and one is watched")


def soak(process: int, timed: TimedAdapter, frames: int) -> list[HeldByProcess]:
    """Return a sample for each thousand frames, without the first thousand."""
    timed(PART)
    samples = [HeldByProcess.of(process)]
    for _ in range(frames // PART):
        timed(PART)
        samples.append(HeldByProcess.of(process))
    return samples


def leaks(samples: list[HeldByProcess]) -> bool:
    """Whether there are more files or threads than at first, or more memory in the second half.

    A sample may be taken before the service has freed the last request's frame, so one alone says little.
    """
    first, half = samples[0], len(samples) // 2
    more = any(one.files > first.files or one.threads > first.threads for one in samples)
    before, after = (max(one.resident for one in part) for part in (samples[: half + 1], samples[half:]))
    return more or after - before > ALLOWED_GROWTH


def main() -> None:
    """Soak each way, and print a row for it. The exit status is 1 if one of them leaks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=108_000, help="through each way")
    arguments = parser.parse_args()
    frame = Scene("NV12", "BT709", True, 720, 1280).frame(np.random.default_rng(0))
    found = False
    print("| | frames | memory first, most, last (KiB) | files | threads |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="edgec-hour-") as scratch:
        folder = Path(scratch)
        network = residual_network(32, (16, 32, 64), 1, folder / "resnet8.engine")
        sources = [PROGRAMS / "time_c.c", COMPILED.folder(MACHINE) / ARCHIVE]
        program = linked(["-O2", "-std=gnu11", "-lm"], sources, folder / "c")
        ways = {
            "libedgec, C": by_program([program, network]),
            "HTTP, shared memory": by_shared_memory(network, frame),
            "HTTP": by_http(network, *request_of(frame)),
        }
        for name, way in ways.items():
            with watched(way) as (process, timed):
                samples = soak(process, timed, arguments.frames)
            found |= leaks(samples)
            memory = [one.resident for one in samples]
            files, threads = ({getattr(one, kind) for one in samples} for kind in ("files", "threads"))
            cells = (f"{memory[0]:,}, {max(memory):,}, {memory[-1]:,}", sorted(files), sorted(threads))
            told = " | ".join(str(one).strip("[]") for one in cells)
            print(f"| {name} | {arguments.frames:,} | {told} |", flush=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
