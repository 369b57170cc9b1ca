"""A Jetson's answer to `measure`: every figure in it is checked; quantiles and the choice are made here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from targets.reach.answers import checked, refuse_impossible
from targets.runtime.measure import Measurement, Settings
from targets.runtime.paired_difference import LEVEL
from targets.runtime.tensorrt.candidate import DLA, FP8, HALF, MIXED, QDQ
from targets.runtime.tensorrt.choice import choose, doubt_of_fp16, drop_of
from targets.runtime.tensorrt.device_report import summary
from targets.runtime.tensorrt.engine import FP16, INT8, EngineProblem
from targets.runtime.tensorrt.separate_qdq import SeparateQdq

KNOWN = (INT8, FP16, HALF, QDQ, MIXED, FP8, DLA)
TIMED = ("end_to_end", "compute")


@dataclass(frozen=True)
class Asked:
    """What the device was asked for: its answer has to be about that."""

    settings: Settings
    images: int
    """That were sent, to compare classes on."""
    evaluated: int = 0
    """Images with labels that were sent; 0: none, so nothing is chosen."""
    max_drop: float = 1.0


@dataclass(frozen=True)
class ToldCandidate:
    """A candidate by the device's words: why there is no engine, or an empty text."""

    name: str
    what: str
    problem: str


@dataclass(frozen=True)
class ToldLayers:
    """What `targets.runtime.tensorrt.layers.Precisions` has, or why TensorRT tells no layers."""

    problem: str = ""
    layers: int = 0
    int8_layers: int = 0
    int8_time_share: float = 0.0
    int8_written: int = 0
    separate_qdq: tuple[SeparateQdq, ...] | None = None
    """Q and DQ that are not fused into the convolution before; None: the device could not tell."""
    reformats: tuple[str, ...] = ()
    not_int8: tuple[str, ...] = ()


@dataclass(frozen=True)
class TimedEngine:
    """An engine that ran: both its times, its layers, and how often it names FP16's class."""

    end_to_end: Measurement
    compute: Measurement
    layers: ToldLayers
    same_class: float

    def summary(self, what: str) -> dict[str, Any]:
        """Return quantiles in ms of `end_to_end` or `compute`, computed from the runs."""
        return summary(getattr(self, what))


@dataclass(frozen=True)
class MeasuredUnder:
    """Of the whole measurement."""

    clocks_locked: bool
    cuda_graphs: bool
    in_place: bool
    power_mode: str


@dataclass(frozen=True)
class MeasuredAnswer:
    """The answer, in which every figure is possible."""

    trials: tuple[ToldCandidate, ...]
    timed: dict[str, TimedEngine]
    circumstances: MeasuredUnder
    images: int
    drops: dict[str, dict[str, float]]
    """Loss of top-1 in points, with its interval, by candidate; empty without labelled images."""
    chosen: str
    why: str


def read_measured(found: Mapping[str, Any], asked: Asked) -> MeasuredAnswer:
    """Check the answer. Raises ValueError or what NONSENSE has, and says what in it cannot be."""
    trials = tuple(checked(list[ToldCandidate], [_fields(one, ToldCandidate) for one in found["candidates"]]))
    names = [trial.name for trial in trials]
    _refuse(len(set(names)) < len(names) or set(names) - set(KNOWN), f"candidates are {names}")
    built = [trial.name for trial in trials if not trial.problem]
    _refuse(not {INT8, FP16} <= set(built), f"built are {built}, without int8 or fp16")
    timed = {name: _timed(found, name, asked) for name in built}
    _refuse(len({len(one.end_to_end.runs_ns) for one in timed.values()}) > 1, "some engines ran more often")
    around = checked(
        MeasuredUnder,
        {
            **{name: found[name] for name in ("clocks_locked", "cuda_graphs", "in_place")},
            "power_mode": found["facts"]["power_mode"],
        },
    )
    drops, chosen, why = _chosen(found, timed, asked)
    return MeasuredAnswer(trials, timed, around, asked.images, drops, chosen, why)


def _timed(found: Mapping[str, Any], name: str, asked: Asked) -> TimedEngine:
    runs = [_measurement(found["latency"][name][what], asked.settings, f"{name}, {what}") for what in TIMED]
    layers = checked(ToldLayers, found["layers"][name])
    counts = 0 <= layers.int8_written <= layers.int8_layers <= layers.layers
    share = 0 <= layers.int8_time_share <= 1 + 1e-9
    _refuse(not (counts and share and (layers.layers or layers.problem)), f"layers of {name} are {layers}")
    same = checked(dict[str, float], found["agreement"][name])
    likely = same["images"] == asked.images and 0 <= same["same_class"] <= 1
    _refuse(not likely, f"{name} names the same class for {same}, {asked.images} images were sent")
    return TimedEngine(runs[0], runs[1], layers, same["same_class"])


def _measurement(found: Mapping[str, Any], settings: Settings, what: str) -> Measurement:
    measured = checked(Measurement, found["measurement"])
    try:
        refuse_impossible(measured)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    likely = measured.batch == settings.batch and len(measured.runs_ns) <= settings.max_runs + settings.block
    _refuse(
        not likely, f"{what}: {len(measured.runs_ns):,} runs of {measured.batch} images were not asked for"
    )
    return measured


def _chosen(
    found: Mapping[str, Any], timed: Mapping[str, TimedEngine], asked: Asked
) -> tuple[dict[str, dict[str, float]], str, str]:
    """Return the drops, the candidate that is chosen and why, from what the device counted."""
    if not asked.evaluated:
        return {}, "", ""
    accuracy = {name: _accuracy(found["accuracy"][name], name, asked.evaluated) for name in timed}
    level = 1 - (1 - LEVEL) / (len(timed) - 1)
    rivals = [name for name in timed if name != FP16]
    drops = {name: _drop(found["drop_points"][name], name, asked.evaluated, level) for name in rivals}
    doubt = doubt_of_fp16(
        accuracy[FP16], _drop(found["fp16_drop"], FP16, asked.evaluated, LEVEL), asked.max_drop
    )
    latency = {name: {what: one.summary(what) for what in TIMED} for name, one in timed.items()}
    try:
        chosen, why = choose(accuracy, drops, latency, asked.max_drop, doubt)
    except EngineProblem as error:
        return drops, "", str(error)
    return drops, chosen, why


def _accuracy(found: Mapping[str, Any], name: str, images: int) -> dict[str, Any]:
    counts = checked(dict[str, int], {key: found[key] for key in ("images", "not_finite")})
    likely = counts["images"] == images and 0 <= counts["not_finite"] <= images
    _refuse(not likely, f"{name} was judged by {counts}, {images} images were sent")
    return counts


def _drop(found: Mapping[str, Any], name: str, images: int, level: float) -> dict[str, float]:
    counts = checked(dict[str, float], {key: found[key] for key in ("worse", "better")})
    worse, better = counts["worse"], counts["better"]
    _refuse(
        min(worse, better) < 0 or worse + better > images, f"{name} differs on {counts} of {images} images"
    )
    return drop_of((worse, better), images, level)


def _fields(found: Mapping[str, Any], kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    return {name: found[name] for name in kind.__dataclass_fields__}


def _refuse(problem: bool | Iterable[str], what: str) -> None:
    if problem:
        raise ValueError(what)
