"""Times engines: warms up, then runs until the median is precise enough. Also a program, for a new process:

    python -m targets.runtime.measure --engine reference_runner model.int8.onnx --images images.npy

A runner is a module, named absolutely or beside this one, with `open_engine(path, threads)` that gives a
context manager whose object has `infer(images)`. Several engines alternate. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Literal, Protocol, Sequence

import numpy as np

from .machine import MachineState, PeakMemory, read_state, reset_peak, resident_bytes
from .quantile import quantile
from .runners import find_runner

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray


Stopped = Literal["precise", "max_runs", "max_seconds"]  # why the measurement ended


@dataclass(frozen=True)
class Settings:
    """The precision of a measurement, and its limits."""

    batch: int = 1
    precision: float = 0.01  # wanted half-width of the median's 95 % interval, relative to the median
    min_runs: int = 100
    max_runs: int = 5000
    max_seconds: float = 20.0  # of runs, per engine
    max_warmup_seconds: float = 5.0  # per engine
    block: int = 5  # runs of one engine in a row when several alternate


@dataclass(frozen=True)
class Measurement:
    """All runs of one engine in their order, and the conditions."""

    runs_ns: tuple[int, ...]
    batch: int
    block: int  # runs in a row between runs of other engines; 0: there was no other engine
    warmup_runs: int
    warmup_stable: bool
    stopped: Stopped
    started_unix: float  # seconds since 1970
    before: MachineState
    after: MachineState
    memory: PeakMemory | None  # None: several engines share the process, or the system does not say


class Runner(Protocol):
    """An opened engine."""

    def infer(self, images: NDArray[np.uint8]) -> object:
        """Return logits for images [N, H, W, C]."""
        ...


@dataclass(frozen=True)
class WarmUp:
    """The warm-up before timing."""

    runs: int
    stable: bool


def measure(calls: Sequence[Callable[[], object]], settings: Settings = Settings()) -> list[Measurement]:
    """Time several callables in alternation, or one alone; one measurement each, with equally many runs.

    In each round every callable has one untimed run (the caches were just used by another) and then
    `settings.block` timed ones; the order is reversed from round to round, so a drift hits all alike.
    A single callable just runs. Garbage collection is off while timing.
    """
    warm_ups = [warm_up(call, settings) for call in calls]
    before, started = read_state(), time.time()
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        runs, stopped = _rounds(calls, settings)
    finally:
        if collecting:
            gc.enable()
    after = read_state()
    block = settings.block if len(calls) > 1 else 0
    return [
        Measurement(
            runs_ns=tuple(own.tolist()),
            batch=settings.batch,
            block=block,
            warmup_runs=warm.runs,
            warmup_stable=warm.stable,
            stopped=stopped,
            started_unix=started,
            before=before,
            after=after,
            memory=None,
        )
        for own, warm in zip(runs, warm_ups)
    ]


def warm_up(call: Callable[[], object], settings: Settings) -> WarmUp:
    """Run until the medians of three successive windows agree within 3 %, or time is up.

    A window is at least 10 runs and 50 ms: clocks need time, not runs, to rise.
    """
    deadline = time.perf_counter() + settings.max_warmup_seconds
    medians: list[float] = []
    runs = 0
    while True:
        window: list[int] = []
        while len(window) < 10 or sum(window) < 50_000_000:
            window.append(_time(call))
            if time.perf_counter() > deadline:
                return WarmUp(runs + len(window), stable=False)
        runs += len(window)
        medians.append(float(np.median(window)))
        if len(medians) >= 3 and max(medians[-3:]) <= 1.03 * min(medians[-3:]):
            return WarmUp(runs, stable=True)


def _rounds(
    calls: Sequence[Callable[[], object]], settings: Settings
) -> tuple[list[NDArray[np.int64]], Stopped]:
    block = settings.block if len(calls) > 1 else 1
    runs: list[list[int]] = [[] for _ in calls]
    deadline = time.perf_counter() + settings.max_seconds * len(calls)
    next_look = settings.min_runs
    order = list(range(len(calls)))
    while True:
        for which in order:
            if len(calls) > 1:
                calls[which]()
            runs[which].extend(_time(calls[which]) for _ in range(block))
        order.reverse()
        done = len(runs[0])
        if done >= next_look:
            if all(is_precise(own, settings.precision) for own in runs):
                stopped: Stopped = "precise"
                break
            next_look = done + max(block, done // 4)  # rarely, since every check is a chance to stop by luck
        if done >= settings.max_runs:
            stopped = "max_runs"
            break
        if time.perf_counter() > deadline:
            stopped = "max_seconds"
            break
    return [np.array(own, np.int64) for own in runs], stopped


def is_precise(runs: list[int], precision: float) -> bool:
    """Return whether half of the median's 95 % interval is at most `precision` of the median."""
    median = quantile(np.array(runs, np.int64), 0.5)
    return median.high is not None and (median.high - median.low) / 2 <= precision * median.value


def _time(call: Callable[[], object]) -> int:
    start = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - start


def measure_engine(
    open_runner: Callable[[], ContextManager[Runner]],
    images: NDArray[np.uint8],
    settings: Settings = Settings(),
) -> Measurement:
    """Open one engine, time `infer` on batches of `images` [M, H, W, C] in turn, and read its peak memory.

    The memory is the whole process's, so call this in one that does nothing else (as `targets.measure` does).
    """
    forgotten = reset_peak()
    before = resident_bytes("VmRSS")
    with open_runner() as runner:
        (measurement,) = measure([_infer_in_turn(runner, images, settings.batch)], settings)
        peak = resident_bytes("VmHWM")
    method = "VmHWM, reset before opening" if forgotten else "VmHWM since the process began"
    memory = None if before is None or peak is None else PeakMemory(before, peak, method)
    return Measurement(**{**vars(measurement), "memory": memory})


def measure_engines(
    open_runners: Sequence[Callable[[], ContextManager[Runner]]],
    images: NDArray[np.uint8],
    settings: Settings = Settings(),
) -> list[Measurement]:
    """Open several engines at once and time them alternately: an A/B comparison. Memory is not measured."""
    with ExitStack() as opened:
        runners = [opened.enter_context(open_runner()) for open_runner in open_runners]
        return measure([_infer_in_turn(runner, images, settings.batch) for runner in runners], settings)


def _infer_in_turn(runner: Runner, images: NDArray[np.uint8], batch: int) -> Callable[[], object]:
    if len(images) < batch:
        raise ValueError(f"{len(images)} images cannot fill a batch of {batch}")
    starts = range(0, len(images) - batch + 1, batch)
    prepare = getattr(runner, "prepare", None)  # a runner that prepares its input without being timed
    if prepare is None:
        turn = itertools.cycle([np.ascontiguousarray(images[i : i + batch]) for i in starts])
    else:
        turn = itertools.cycle([prepare(images[i : i + batch]) for i in starts])
    return lambda: runner.infer(next(turn))


def to_json(measurements: Sequence[Measurement]) -> str:
    """Return measurements as one line of JSON."""
    return json.dumps([asdict(m) for m in measurements])


def from_json(text: str) -> list[Measurement]:
    """Read what `to_json` wrote."""
    return [_from_fields(fields) for fields in json.loads(text)]


def _from_fields(fields: dict[str, Any]) -> Measurement:
    changes = {
        "runs_ns": tuple(fields["runs_ns"]),
        "before": _state(*fields["before"]),
        "after": _state(*fields["after"]),
        "memory": fields["memory"] and PeakMemory(*fields["memory"]),
    }
    return Measurement(**{**fields, **changes})


def _state(*fields: Any) -> MachineState:
    whole: Any = [tuple(field) if isinstance(field, list) else field for field in fields]
    return MachineState(*whole)


def _opener(module: str, engine: Path, threads: int) -> Callable[[], ContextManager[Runner]]:
    runner = find_runner(module)
    return lambda: runner.open_engine(engine, threads)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the engines named on the command line and print the measurements as JSON."""
    parser = argparse.ArgumentParser(description="Time engines in this process.")
    parser.add_argument("--engine", nargs=2, action="append", required=True, metavar=("RUNNER", "PATH"))
    parser.add_argument("--images", type=Path, required=True, help=".npy, uint8 [N, H, W, C]")
    parser.add_argument("--threads", type=int, default=1, help="threads an engine may use")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON object of settings to change")
    options = parser.parse_args(arguments)
    settings = Settings(**options.settings)
    images = np.load(options.images, allow_pickle=False)
    openers = [_opener(module, Path(path), options.threads) for module, path in options.engine]
    if len(openers) == 1:
        measurements = [measure_engine(openers[0], images, settings)]
    else:
        measurements = measure_engines(openers, images, settings)
    sys.stdout.write(to_json(measurements) + "\n")


if __name__ == "__main__":
    main()
