"""Measures accuracy and time of the engines on this device, and chooses one."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Callable, Mapping

import numpy as np

from ..measure import Measurement, Settings, measure
from ..paired_difference import LEVEL, difference_bounds
from ..quantile import quantile
from . import layers as inspecting
from .engine import FP16, INT8
from .runner import open_plan
from .shared_memory import reads_in_place

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .cuda import Cuda

Say = Callable[[str], None]


def measured(
    trt: Any,
    cuda: Cuda,
    plans: Mapping[str, Path],
    evaluation: Path,
    settings: Settings,
    max_drop: float,
    say: Say,
) -> dict[str, Any]:
    """Check and time the engines of all candidates on evaluation.npz; the result is ready for JSON."""
    with np.load(str(evaluation), allow_pickle=False) as data:
        images, labels, expected = data["images"], data["labels"], data["int8"]
    accuracy, right = {}, {}
    for name, plan in plans.items():
        with open_plan(plan, trt, cuda) as runner:
            logits = runner.infer(images).reshape(expected.shape)
        accuracy[name] = found = _accuracy(logits, labels, expected)
        right[name] = logits.argmax(axis=1) == labels
        say(f"{name}: top-1 {100 * found['top1']:.2f} % of {found['images']} images")
    rivals = [name for name in plans if name != FP16]
    level = 1 - (1 - LEVEL) / len(rivals)  # several are tried, and each shall pass by luck as rarely as one
    drops = {name: _drop(right[FP16], right[name], level) for name in rivals}
    times = timed(trt, cuda, plans, images, settings, say)
    choice, why = choose(accuracy, drops, times["latency"], max_drop)
    return {"accuracy": accuracy, "drop_points": drops, **times, "chosen": choice, "why": why}


def _drop(before: NDArray[np.bool_], after: NDArray[np.bool_], level: float) -> dict[str, float]:
    """Return the loss in points with its interval, from which images each network gets right."""
    worse, better = _images(before & ~after), _images(after & ~before)
    low, high = difference_bounds(worse, better, len(before), level)
    value = (worse - better) / len(before)
    return {name: 100 * share for name, share in (("value", value), ("low", low), ("high", high))}


def _images(marks: NDArray[np.bool_]) -> float:
    """Return how many images are marked; of one whose pixels are marked [N, h, w], their share counts."""
    return float(marks.reshape(len(marks), -1).mean(axis=1).sum())


def timed(
    trt: Any, cuda: Cuda, plans: Mapping[str, Path], images: NDArray[np.uint8], settings: Settings, say: Say
) -> dict[str, Any]:
    """Time the engines in alternation on batches of `images` [N, H, W, C], and look into them.

    End to end is from pixels in memory to logits in memory; computing alone leaves both on the GPU.
    """
    batch = settings.batch
    turns = [images[i : i + batch] for i in range(0, len(images) - batch + 1, batch)] or [images]
    in_place = reads_in_place(trt, cuda, plans[INT8], turns, settings, say)
    with ExitStack() as opened:
        runners = {p: opened.enter_context(open_plan(plan, trt, cuda, in_place)) for p, plan in plans.items()}
        names = [(p, what) for p in runners for what in ("end_to_end", "compute")]
        calls: list[Callable[[], object]] = []
        for runner in runners.values():
            calls += [_end_to_end(runner, turns), _compute(runner, len(turns[0]))]
        latency: dict[str, dict[str, Any]] = {p: {} for p in runners}
        for (precision, what), one in zip(names, measure(calls, settings)):
            latency[precision][what] = summary(one)
        graphs = all(runner.uses_graphs for runner in runners.values())
        layers = {p: _layers(trt, runner, len(turns[0])) for p, runner in runners.items()}
    return {"latency": latency, "layers": layers, "cuda_graphs": graphs, "in_place": in_place}


def choose(
    accuracy: Mapping[str, Mapping[str, Any]],
    drops: Mapping[str, Mapping[str, Any]],
    latency: Mapping[str, Mapping[str, Any]],
    max_drop: float,
) -> tuple[str, str]:
    """Return the fastest candidate whose accuracy passes, and why; FP16 where none is shown to be better.

    `drops` are the losses of top-1 in points from FP16 to each other candidate on the same images: estimates
    and intervals.
    """
    fp16 = latency[FP16]["end_to_end"]["p50_ms"]
    objections = {
        name: _objection(name, accuracy[name]["images"], drop, latency[name], fp16, max_drop)
        for name, drop in drops.items()
    }
    passing = [name for name, objection in objections.items() if not objection]
    if not passing:
        return FP16, "; ".join(objections.values())
    best = min(passing, key=lambda name: float(latency[name]["end_to_end"]["p50_ms"]["value"]))
    return best, "p50 {:.3f} ms, FP16 {:.3f} ms; top-1 drop {:.2f} {} points".format(
        latency[best]["end_to_end"]["p50_ms"]["value"],
        fp16["value"],
        drops[best]["value"],
        _interval(drops[best]),
    )


def _interval(drop: Mapping[str, Any]) -> str:
    return "[{:.2f}, {:.2f}]".format(drop["low"], drop["high"])


def _objection(
    name: str,
    images: int,
    drop: Mapping[str, Any],
    latency: Mapping[str, Any],
    fp16: Mapping[str, Any],
    max_drop: float,
) -> str:
    """Return why a candidate is not chosen instead of FP16; empty if nothing speaks against it."""
    found = f"{drop['value']:.2f} {_interval(drop)}"
    if drop["low"] > max_drop:
        return f"{name} loses {found} points of top-1, {max_drop:.2f} are allowed"
    if drop["high"] > max_drop:
        return (
            f"{images} images do not show that {name} loses at most {max_drop:.2f} points of top-1: it loses "
            f"{found}. Allow more with --max-drop, or let `edgec build --device` "
            "validate this device on all images"
        )
    own = latency["end_to_end"]["p50_ms"]
    if own["high"] is None or fp16["low"] <= own["high"]:
        return "{} is not shown to be faster: p50 {:.3f} ms, FP16 {:.3f} ms".format(
            name, own["value"], fp16["value"]
        )
    return ""


def agreement(
    trt: Any, cuda: Cuda, plans: Mapping[str, Path], images: NDArray[np.uint8]
) -> dict[str, dict[str, float]]:
    """Return for how many of `images` each candidate names the class that FP16 names."""
    classes = {}
    for name, plan in plans.items():
        with open_plan(plan, trt, cuda) as runner:
            classes[name] = runner.infer(images).argmax(axis=1)
    same = {name: float(np.mean(found == classes[FP16])) for name, found in classes.items()}
    return {name: {"images": len(images), "same_class": share} for name, share in same.items()}


def summary(one: Measurement) -> dict[str, Any]:
    """Return the quantiles of a measurement with their intervals, in ms, and all of its runs."""
    runs = np.array(one.runs_ns, np.int64)
    quantiles = {}
    for name, probability in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99)):
        found = quantile(runs, probability)
        high = None if found.high is None else found.high / 1e6
        quantiles[name] = {"value": found.value / 1e6, "low": found.low / 1e6, "high": high}
    return {**quantiles, "measurement": asdict(one)}


def _accuracy(
    logits: NDArray[np.float32], labels: NDArray[np.int64], expected: NDArray[np.float32]
) -> dict[str, float]:
    return {
        "images": len(labels),
        "top1": float(np.mean(logits.argmax(axis=1) == labels)),
        "agreement": float(np.mean(logits.argmax(axis=1) == expected.argmax(axis=1))),
        "largest_difference": float(np.abs(logits - expected).max()),
    }


def _end_to_end(runner: Any, turns: list[NDArray[np.uint8]]) -> Callable[[], object]:
    position = [0]

    def call() -> None:
        position[0] = (position[0] + 1) % len(turns)
        runner.infer(turns[position[0]])

    return call


def _compute(runner: Any, batch: int) -> Callable[[], object]:
    return lambda: runner.run(batch, copies=False)


def _layers(trt: Any, runner: Any, batch: int) -> dict[str, Any]:
    text = runner.inspect(trt)
    try:
        layers = inspecting.read_layers(text)
    except (ValueError, json.JSONDecodeError) as error:
        return {"problem": str(error)}
    times = inspecting.profile(trt, runner, batch)
    return asdict(inspecting.precisions(layers, times))
