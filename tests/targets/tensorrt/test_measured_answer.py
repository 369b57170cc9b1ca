"""A Jetson that answers `measure` with figures that cannot be: each is an error that names it."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from targets.errors import DeviceAnswerError
from targets.reach.answers import json_answer, sensible
from targets.runtime.machine import MachineState
from targets.runtime.measure import Measurement, Settings
from targets.tensorrt.findings import findings, tried
from targets.tensorrt.measured_answer import Asked, MeasuredAnswer, read_measured

ASKED = Asked(Settings(batch=2, max_runs=20), images=8, evaluated=400, max_drop=2.0)
MS = {"int8": 3.0, "mixed": 2.0, "fp16": 6.0}


def runs(ms: float) -> dict[str, Any]:
    state = MachineState((), (), None, None, None, 4)
    times = tuple(int(1e6 * ms) + i % 2 for i in range(20))
    found = Measurement(times, 2, 5, 3, True, "max_runs", 1.0, state, state, None)
    quantiles = {name: {"value": -1.0, "low": 0.0, "high": 1e30} for name in ("p50_ms", "p90_ms", "p99_ms")}
    return {**quantiles, "measurement": asdict(found)}


def answer() -> dict[str, Any]:
    layers = {
        "layers": 3,
        "int8_layers": 2,
        "int8_time_share": 0.5,
        "int8_written": 1,
        "reformats": ["a"],
        "not_int8": [],
    }
    return {
        "candidates": [{"name": n, "what": "w", "problem": "", "key": None} for n in MS]
        + [{"name": "dla", "what": "w", "problem": "it cannot", "key": None}],
        "latency": {name: {"end_to_end": runs(ms), "compute": runs(ms / 2)} for name, ms in MS.items()},
        "layers": {name: dict(layers) for name in MS},
        "agreement": {name: {"images": 8, "same_class": 1.0} for name in MS},
        "accuracy": {name: {"images": 400, "not_finite": 0, "top1": 7.0} for name in MS},
        "drop_points": {name: {"worse": 1, "better": 2, "value": -99.0} for name in ("int8", "mixed")},
        "fp16_drop": {"worse": 0, "better": 0},
        "clocks_locked": True,
        "cuda_graphs": True,
        "in_place": False,
        "facts": {"power_mode": "MAXN"},
    }


def read(found: dict[str, Any]) -> MeasuredAnswer:
    """As it comes over the network."""
    with sensible("jetson", "times"):
        return read_measured(json_answer(json.dumps(found)), ASKED)


def test_quantiles_and_the_choice_are_made_here() -> None:
    """What the device says of its quantiles, drops and accuracy is not read."""
    found = read(answer())
    assert found.chosen == "mixed"
    assert found.why.startswith("p50 2.000 ms, FP16 6.000 ms; top-1 drop -0.25 [")
    (mixed,) = [one for one in tried(found) if one.name == "mixed"]
    assert mixed.times is not None
    assert mixed.times.end_to_end[0] == pytest.approx(2.0, abs=1e-3)
    assert "INT8 p50 3.000 ms, p90 3.000 ms" in findings(found)[0].message


def put(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Set an entry: `path` has the keys that lead to it, and then its value."""

    def change(found: Any) -> None:
        *folders, name, value = path
        for folder in folders:
            found = found[folder]
        found[name] = value

    return change


def without(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(found: Any) -> None:
        for folder in path[:-1]:
            found = found[folder]
        del found[path[-1]]

    return change


INT8_RUNS = ("latency", "int8", "end_to_end", "measurement")
LIES = {
    "negative": (put(*INT8_RUNS, "runs_ns", [-1] * 20), "int8, end_to_end: a run of the engine"),
    "nothing": (put(*INT8_RUNS, "runs_ns", [0] * 20), "int8, end_to_end: a run of the engine"),
    "10^30 ms": (put(*INT8_RUNS, "runs_ns", [10**36] * 20), "int8, end_to_end: a run of the engine"),
    "not a number": (put(*INT8_RUNS, "runs_ns", [float("nan")] * 20), "NaN is not a number"),
    "no runs": (put("latency", "mixed", "compute", "measurement", "runs_ns", []), "mixed, compute: a run"),
    "too many": (put(*INT8_RUNS, "runs_ns", [1] * 50), "50 runs of 2 images were not asked for"),
    "another batch": (put(*INT8_RUNS, "batch", 1), "20 runs of 1 images were not asked for"),
    "fewer runs of one": (put(*INT8_RUNS, "runs_ns", [3] * 10), "some engines ran more often"),
    "no times of one": (without("latency", "mixed"), "mixed"),
    "FP16 is not there": (put("candidates", 2, "problem", "gone"), "without int8 or fp16"),
    "one twice": (put("candidates", 1, "name", "int8"), "candidates are"),
    "one that nobody knows": (put("candidates", 3, "name", "int4"), "candidates are"),
    "more INT8 than layers": (put("layers", "int8", "int8_layers", 4), "layers of int8 are"),
    "a share above 1": (put("layers", "int8", "int8_time_share", 1.5), "layers of int8 are"),
    "all classes and more": (put("agreement", "mixed", "same_class", 1.1), "mixed names the same class"),
    "other images": (put("agreement", "mixed", "images", 7), "8 images were sent"),
    "fewer judged": (put("accuracy", "int8", "images", 399), "400 images were sent"),
    "less than none broken": (put("accuracy", "int8", "not_finite", -1), "int8 was judged by"),
    "more changed than are": (put("drop_points", "int8", "worse", 399), "int8 differs on"),
    "less than none changed": (put("drop_points", "int8", "better", -2), "int8 differs on"),
    "no drop of one": (without("drop_points", "mixed"), "mixed"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_cannot_be_is_named(lie: str) -> None:
    change, named = LIES[lie]
    found = copy.deepcopy(answer())
    change(found)
    with pytest.raises(DeviceAnswerError) as error:
        read(found)
    assert str(error.value).startswith("jetson: its answer about times cannot be read (")
    assert named in str(error.value)


def test_where_no_engine_is_right_it_says_so() -> None:
    found = answer()
    for name in MS:
        found["accuracy"][name]["not_finite"] = 400
    assert read(found).chosen == ""
    assert read(found).why.startswith(
        "no engine is chosen: fp16 gives logits that are not numbers for 400 of 400"
    )
