"""./run throughput: images a second by batch and by streams on this device: a table, a curve, its knee.

Each batch gets an engine of its own, of the candidate that was chosen. Engines for a DLA are measured with
the batch that they were built for. What was measured is kept, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Sequence

import numpy as np

from ..bundle.manifest import EVALUATION, Manifest, ManifestError
from .build import created, make_logger
from .candidate import DLA, candidate_named
from .clocks import locked_clocks
from .cuda import Cuda, CudaError
from .device_engines import (
    build_options,
    builds_with,
    check,
    engine_key,
    make_engine,
    tensorrt,
    usable,
)
from .device_steps import end_politely
from .dla import cores_of
from .engine import INT8, EngineChoice, EnginePlace, EngineProblem, write
from .jetson import read_facts
from .runner import open_contexts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .runner import TensorRTRunner

BATCHES, MOST_STREAMS = (1, 2, 4, 8, 16, 32), 4
RECORD, PLOT = "throughput.json", "throughput.svg"
PARTS, T_OF_PARTS = 10, 2.262
"""The interval is Student's of the means of ten parts of the time in a row (9 degrees of freedom, 97.5 %)."""
GPU = "GPU"
KNEE = 0.9
"""The knee is the smallest batch, with the fewest streams, that reaches this share of the highest figure."""
COLOURS = ("#1b6ca8", "#c05020", "#2d8a4e", "#7a4fa0")
Say = Callable[[str], None]


@dataclass(frozen=True)
class ThroughputPoint:
    """Images a second of one batch and number of streams, with the half-width of the interval."""

    batch: int
    streams: int
    graphs: bool
    """Whether inferences were replayed as CUDA graphs."""
    images_per_s: float
    half_width: float
    call_p50_ms: float
    """The median time of one call, of `batch` images, while all streams were busy."""
    where: str = GPU
    """What computed: the GPU, deep learning accelerators, or both at the same time."""


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run on the bundle in `folder`, whose engines were built here. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="run throughput", description=__doc__)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=list(BATCHES), help="default: 1 2 4 8 16 32"
    )
    parser.add_argument("--streams", type=int, default=MOST_STREAMS, help="up to so many (default: 4)")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure (default: 3)")
    parser.add_argument("--keep-clocks", action="store_true", help="do not lock clocks")
    options = parser.parse_args(arguments)
    end_politely()
    try:
        if min([options.streams, *options.batches]) < 1 or not options.seconds > 0:
            raise EngineProblem("batches, streams and seconds are above 0")
        points = _curve(folder, options)
    except (EngineProblem, ManifestError, CudaError, OSError) as error:
        print(f"throughput: {error}", file=sys.stderr)
        return 1
    print("\n".join(table(points)))
    (folder / PLOT).write_text(plot(points), encoding="utf-8")
    print(f"plot: {folder / PLOT}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _curve(folder: Path, options: argparse.Namespace) -> list[ThroughputPoint]:
    Manifest.read(folder).check(folder)
    engines, facts = folder / "engine", read_facts()
    check(facts)
    choice = EngineChoice.read(engines)
    candidate = candidate_named(choice.precision, builds_with(facts))
    plans = {}
    for batch in options.batches:
        place = EnginePlace(engines, f"{candidate.name}-batch{batch}")
        wanted = replace(build_options(engines), batch=batch, largest_batch=None)
        plans[batch] = place.plan, make_engine(engines, candidate, facts, wanted, _say, place)
    held_clocks = nullcontext(False) if options.keep_clocks else locked_clocks(engines / "clocks.saved", _say)
    with held_clocks as locked:
        meter = _Meter(folder, options.seconds, choice.in_place, [facts.power_mode, locked])
        where = _dla(0) if candidate.on_dla else GPU
        points = [
            meter.point(FigureOf(batch, streams, graphs, where), [(plan, 0)] * streams, [asdict(key)])
            for batch, (plan, key) in plans.items()
            for streams, graphs in _settings(options.streams)
        ]
        if (engines / f"{DLA}.plan").is_file():
            points += _beside_dla(engines, choice, meter)
    return points


class FigureOf(NamedTuple):
    """What one figure is of."""

    batch: int
    streams: int
    graphs: bool
    where: str

    def __str__(self) -> str:
        graphs = "" if self.graphs else " without CUDA graphs"
        return f"{self.where}: batch {self.batch}, {self.streams} streams{graphs}"


@dataclass(frozen=True)
class _Meter:
    """Measures figures on the images of the bundle in `folder`, and keeps them."""

    folder: Path
    seconds: float
    in_place: bool
    circumstances: list[Any]

    def point(
        self, asked: FigureOf, runs: Sequence[tuple[Path, int]], keys: Sequence[dict[str, str]]
    ) -> ThroughputPoint:
        """Return a figure of engines that run at the same time, or that of an earlier run under the same.

        `runs` are engines, each once a context, with the accelerator that an engine for one runs on; `keys`
        are those of the engines.
        """
        around = [*keys, *self.circumstances, self.seconds, self.in_place]
        record = self.folder / RECORD
        known = _known(record, asked, around)
        if known is None:
            known = replace(self._measured(asked, runs), where=asked.where)
            kept = {"point": asdict(known), "asked": asked, "around": around}
            write(record, json.dumps([*_read(record), kept]).encode())
            _say(f"{asked}: {known.images_per_s:.1f} images a second")
        return known

    def _measured(self, asked: FigureOf, runs: Sequence[tuple[Path, int]]) -> ThroughputPoint:
        trt, cuda = tensorrt(), Cuda.load()
        with np.load(str(self.folder / EVALUATION), allow_pickle=False) as held:
            images = _filled(held["images"], asked.batch)
        with ExitStack() as opened:
            runners: list[TensorRTRunner] = []
            for (plan, core), count in Counter(runs).items():  # contexts of one engine share it
                contexts = open_contexts(plan, trt, cuda, count, self.in_place, asked.graphs, core)
                runners += opened.enter_context(contexts)
            return measured(runners, images, self.seconds)


def _beside_dla(engines: Path, choice: EngineChoice, meter: _Meter) -> list[ThroughputPoint]:
    """Measure each DLA, both, and both beside the GPU, with the engines and the batch of the last build."""
    built = build_options(engines)
    facts, trt = read_facts(), tensorrt()
    on_gpu = INT8 if choice.precision == DLA else choice.precision
    dla, gpu = usable(engines, DLA), usable(engines, on_gpu)
    keys = [
        asdict(engine_key(engines, candidate_named(name, builds_with(facts)), facts, built))
        for name in (DLA, on_gpu)
    ]
    cores = range(cores_of(created(trt.Builder, make_logger(trt))))
    together = [(core,) for core in cores] + ([tuple(cores)] if len(cores) > 1 else [])
    points = []
    for used, with_gpu in [*((one, False) for one in together), (tuple(cores), True)]:
        runs = [*([(gpu, 0)] if with_gpu else []), *((dla, core) for core in used)]
        where = " + ".join([*([GPU] if with_gpu else []), *map(_dla, used)])
        points.append(meter.point(FigureOf(built.batch, len(runs), True, where), runs, keys))
    return points


def _dla(core: int) -> str:
    return f"DLA {core}"


def _settings(streams: int) -> list[tuple[int, bool]]:
    """Numbers of streams with CUDA graphs, and one stream without."""
    return [(1, False), *((number, True) for number in range(1, streams + 1))]


def _filled(images: NDArray[np.uint8], batch: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(images[np.arange(batch) % len(images)])


def measured(runners: Sequence[TensorRTRunner], images: NDArray[np.uint8], seconds: float) -> ThroughputPoint:
    """Let every runner infer `images` [N, H, W, C] over and over, each in a thread of its own.

    Raises what a runner raised.
    """
    for runner in runners:
        for _ in range(3):  # the second run is recorded as a graph
            runner.infer(images)
    ends: list[list[float]] = [[] for _ in runners]
    problems: list[Exception] = []
    ready = threading.Barrier(len(runners) + 1)
    start = [0.0]

    def repeat(runner: TensorRTRunner, own: list[float]) -> None:
        ready.wait()
        try:
            while time.perf_counter() - start[0] < seconds:
                runner.infer(images)
                own.append(time.perf_counter())
        except (CudaError, EngineProblem) as error:
            problems.append(error)

    threads = [threading.Thread(target=repeat, args=pair, daemon=True) for pair in zip(runners, ends)]
    for thread in threads:
        thread.start()
    start[0] = time.perf_counter()
    ready.wait()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return summed_up([np.array(own) - start[0] for own in ends], len(images), seconds, runners[0].uses_graphs)


def summed_up(
    ends: Sequence[NDArray[np.float64]], batch: int, seconds: float, graphs: bool
) -> ThroughputPoint:
    """Return images a second within `seconds`, by when each stream's calls ended, in seconds."""
    every = np.concatenate(ends)
    counts = np.histogram(every, bins=PARTS, range=(0.0, seconds))[0]
    rates = counts * batch * PARTS / seconds
    calls = np.concatenate([np.diff(own, prepend=0.0) for own in ends])
    return ThroughputPoint(
        batch=batch,
        streams=len(ends),
        graphs=graphs,
        images_per_s=float(rates.mean()),
        half_width=T_OF_PARTS * float(np.std(rates, ddof=1)) / math.sqrt(PARTS),
        call_p50_ms=1e3 * float(np.median(calls)) if len(calls) else math.inf,
    )


def knee(points: Sequence[ThroughputPoint]) -> ThroughputPoint:
    """Return the smallest batch, with the fewest streams, that nearly reaches the highest throughput."""
    highest = max(point.images_per_s for point in points)
    enough = [point for point in points if point.images_per_s >= KNEE * highest]
    return min(enough, key=lambda point: (point.batch, point.streams, not point.graphs))


def _known(record: Path, asked: FigureOf, around: list[Any]) -> ThroughputPoint | None:
    for one in _read(record):
        if one["asked"] == list(asked) and one["around"] == around:
            return ThroughputPoint(**one["point"])
    return None


def _read(record: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(record.read_text())
        for one in found:
            ThroughputPoint(**one["point"])
            if not {"around", "asked"} <= one.keys():
                return []
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return found


def table(points: Sequence[ThroughputPoint]) -> list[str]:
    """Return the lines of a table, and the knee in words: of what the first point was measured on."""
    head = ("on", "batch", "streams", "CUDA graphs", "images/s", "p50 of a call, ms")
    rows = [head, *(_row(point) for point in points)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    best = knee([point for point in points if point.where == points[0].where])
    return [
        *lines,
        f"knee: batch {best.batch}, {best.streams} streams: the smallest that reaches {KNEE:.0%} of the "
        f"highest throughput, {best.images_per_s:.1f} images a second",
    ]


def _row(point: ThroughputPoint) -> tuple[str, ...]:
    return (
        point.where,
        str(point.batch),
        str(point.streams),
        "yes" if point.graphs else "no",
        f"{point.images_per_s:.1f} +-{point.half_width:.1f}",
        f"{point.call_p50_ms:.3f}",
    )


def plot(points: Sequence[ThroughputPoint]) -> str:
    """Return an SVG: images a second by batch (each step doubles), one line for each number of streams."""
    points = [point for point in points if point.where == points[0].where]  # DLAs beside it are in the table
    batches = sorted({point.batch for point in points})
    highest = max(point.images_per_s for point in points) or 1.0
    marks = []
    for number in sorted({point.streams for point in points}):
        steps = max(1, len(batches) - 1)
        own = sorted((p.batch, p.images_per_s) for p in points if p.streams == number and p.graphs)
        places = [
            f"{60 + 380 * batches.index(batch) / steps:.1f},{280 - 240 * rate / highest:.1f}"
            for batch, rate in own
        ]
        colour = COLOURS[(number - 1) % len(COLOURS)]
        if places:
            marks.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}"/>')
            marks.append(f'<text x="{80 + 90 * (number - 1)}" y="14" fill="{colour}">{number} streams</text>')
    for i, batch in enumerate(batches):
        x = 60 + 380 * i / max(1, len(batches) - 1)
        marks.append(f'<text x="{x:.1f}" y="296" text-anchor="middle">{batch}</text>')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 500 330" '
        'font-family="sans-serif" font-size="12">'
        '<path d="M60 20V280H460" fill="none" stroke="black"/>'
        f'<text x="54" y="44" text-anchor="end">{highest:.0f}</text>'
        '<text x="270" y="318" text-anchor="middle">batch</text>'
        '<text x="16" y="160" text-anchor="middle" transform="rotate(-90 16 160)">images a second</text>'
        f"{''.join(marks)}</svg>\n"
    )
