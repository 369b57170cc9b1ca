"""Measures accuracy and time of the engines on this device, and chooses one."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

import numpy as np

from ..measure import Measurement, Settings, measure
from ..quantile import quantile
from . import layers as inspecting
from .candidate import candidate_named
from .candidate_accuracy import compare, read_evaluation
from .choice import choose, doubt_of_fp16
from .engine import FP16, INT8, EngineProblem
from .mixed_onnx import QdqFile
from .runner import open_plan
from .separate_qdq import naming, separate_qdq
from .shared_memory import reads_in_place

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .candidate import Candidate
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
    """Check and time the engines of all candidates on evaluation.npz; the result is ready for JSON.

    Raises EngineProblem if no engine keeps the accuracy that the bundle's logits have.
    """
    held = read_evaluation(evaluation)
    compared = compare(trt, cuda, plans, held, max_drop, say)
    times = timed(trt, cuda, plans, held.images, settings, say)
    choice, why = choose(
        compared["accuracy"],
        compared["drop_points"],
        times["latency"],
        max_drop,
        doubt_of_fp16(compared["accuracy"][FP16], compared["fp16_drop"], max_drop),
    )
    return {**compared, **times, "chosen": choice, "why": why}


def timed(
    trt: Any, cuda: Cuda, plans: Mapping[str, Path], images: NDArray[np.uint8], settings: Settings, say: Say
) -> dict[str, Any]:
    """Time the engines in alternation on batches of `images` [N, H, W, C], and look into them.

    End to end is from pixels in memory to logits in memory; computing alone leaves both on the GPU.
    """
    batch = settings.batch
    if len(images) < batch:
        images = images[np.arange(batch) % len(images)]  # the first ones again, so that it is a whole batch
    turns = [images[i : i + batch] for i in range(0, len(images) - batch + 1, batch)]
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
        layers = {p: _layers(trt, runner, len(turns[0]), plans[p]) for p, runner in runners.items()}
    return {"latency": latency, "layers": layers, "cuda_graphs": graphs, "in_place": in_place}


def summary(one: Measurement) -> dict[str, Any]:
    """Return the quantiles of a measurement with their intervals, in ms, and all of its runs."""
    runs = np.array(one.runs_ns, np.int64)
    quantiles = {}
    for name, probability in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99)):
        found = quantile(runs, probability)
        high = None if found.high is None else found.high / 1e6
        quantiles[name] = {"value": found.value / 1e6, "low": found.low / 1e6, "high": high}
    return {**quantiles, "measurement": asdict(one)}


def _end_to_end(runner: Any, turns: list[NDArray[np.uint8]]) -> Callable[[], object]:
    position = [0]

    def call() -> None:
        position[0] = (position[0] + 1) % len(turns)
        runner.infer(turns[position[0]])

    return call


def _compute(runner: Any, batch: int) -> Callable[[], object]:
    return lambda: runner.run(batch, copies=False)


def _layers(trt: Any, runner: Any, batch: int, plan: Path) -> dict[str, Any]:
    text = runner.inspect(trt)
    try:
        layers = inspecting.read_layers(text)
    except (ValueError, json.JSONDecodeError) as error:
        return {"problem": str(error)}
    times = inspecting.profile(trt, runner, batch)
    told = asdict(inspecting.precisions(layers, times))
    return {
        **told,
        "separate_qdq": _separate(candidate_named(plan.stem, trt.__version__), plan, layers, times),
    }


def _separate(
    candidate: Candidate, plan: Path, layers: Sequence[inspecting.Layer], times_ms: Mapping[str, float]
) -> list[dict[str, Any]] | None:
    """Return the Q and DQ that are not fused; None if the file is not a network."""
    try:
        network = QdqFile((plan.parent / candidate.onnx).read_bytes())
    except (OSError, EngineProblem):
        return None
    return [asdict(one) for one in separate_qdq(network, [naming(layer) for layer in layers], times_ms)]
