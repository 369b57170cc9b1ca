"""Chooses how many threads train: no more than there are free cores.

The threads of torch's CPU kernels (oneDNN) wait for one another by spinning, and
no variable of OpenMP changes that. Two threads that share a core with another program wait most of the time
for the one that does not run: an epoch took 14 to 46 s with two threads and 4 s with one, on two cores of an
AMD EPYC (Zen 4) with six other busy programs.
"""

import os
import re
import time
from collections.abc import Callable, Set
from pathlib import Path

import torch

from pipeline.errors import UsageError
from pipeline.progress import Progress

WATCHED_SECONDS = 0.5
ROOT = Path("/")
NUMBERS = re.compile(r"[1-9][0-9]{0,4}(\s*,\s*[1-9][0-9]{0,4})*")
"""The syntax of OMP_NUM_THREADS: a number for each level (OpenMP 5.2, 21.2.2)."""


def choose_threads(wanted: int | None, progress: Progress) -> int:
    """Return `wanted` if given, else torch's own number, but no more than the cores that are free now.

    A number in OMP_NUM_THREADS is the user's choice, and is taken as it is. Raises UsageError for other text.
    """
    if wanted is not None:
        return wanted
    threads = torch.get_num_threads()
    chosen = os.environ.get("OMP_NUM_THREADS", "").strip()
    if chosen and not NUMBERS.fullmatch(chosen):
        raise UsageError(
            f"OMP_NUM_THREADS is {chosen[:100]!r}; it takes a number of threads from 1, such as 2. Give one,"
            " or unset it."
        )
    if threads == 1 or chosen:
        return threads
    free = min(threads, max(1, round(free_cores(os.sched_getaffinity(0)))))
    if free < threads:
        progress.say(
            f"Trains with {free} of {threads} threads: the other cores are busy, or not for this container."
            f" A resumed run keeps this number. OMP_NUM_THREADS={threads} would use all of them in a new run."
        )
    return free


def free_cores(
    allowed: Set[int], root: Path = ROOT, wait: Callable[[], None] = lambda: time.sleep(WATCHED_SECONDS)
) -> float:
    """Return how many of the `allowed` cores were idle while it waited, at most the container's limit.

    All of them where the kernel does not tell.
    """
    before = _times(root, allowed)
    wait()
    after = _times(root, allowed)
    idle = 0.0
    for core, (idle_then, total_then) in before.items():
        idle_now, total_now = after.get(core, (idle_then, total_then))
        passed = total_now - total_then
        idle += (idle_now - idle_then) / passed if passed > 0 else 1.0
    return min(idle if before else float(len(allowed)), _quota(root))


def _times(root: Path, allowed: Set[int]) -> dict[int, tuple[int, int]]:
    """Return the ticks that each allowed core was idle, and all of its ticks (proc_stat(5))."""
    times = {}
    for line in _lines(root / "proc/stat"):
        name, *numbers = line.split()
        core = name.removeprefix("cpu")
        if name.startswith("cpu") and core.isdigit() and int(core) in allowed:
            ticks = [int(number) for number in numbers[:8]]  # guests' are part of the user's
            times[int(core)] = (ticks[3] + ticks[4], sum(ticks))  # idle, and idle while a disk works
    return times


def _quota(root: Path) -> float:
    """Return the cores that the container's limit allows, as of `docker run --cpus` (cgroup v2: cpu.max)."""
    for line in _lines(root / "sys/fs/cgroup/cpu.max"):
        quota, period = line.split()
        if quota != "max":
            return int(quota) / int(period)
    return float("inf")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
