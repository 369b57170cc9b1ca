"""Which layers of an engine run in INT8, from TensorRT's inspector and profiler."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping, Sequence

if TYPE_CHECKING:
    from .runner import TensorRTRunner

UNKNOWN = "unknown"
TYPES = (
    ("int8", "INT8"),
    ("fp8", "FP8"),
    ("fp16", "FP16"),
    ("half", "FP16"),
    ("fp32", "FP32"),
    ("float", "FP32"),
)
"""Parts of the inspector's formats, and the type of each. The formats changed between versions."""


@dataclass(frozen=True)
class Layer:
    """A layer of an engine: the types of its first input and output, and whether it only changes a format."""

    name: str
    kind: str
    precision: str
    written: str
    is_reformat: bool
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    origin: str = ""
    """TensorRT's own words on which ONNX nodes it computes, beside its name."""


@dataclass(frozen=True)
class Precisions:
    """How much of an engine runs in INT8, of its layers and of its time; reformats count as not INT8."""

    layers: int
    int8_layers: int
    int8_time_share: float
    int8_written: int
    """How many of the INT8 layers also write INT8; the others write floats."""
    reformats: tuple[str, ...]
    not_int8: tuple[str, ...]  # layers with arithmetic in another type, the slowest first


def read_layers(text: str) -> list[Layer]:
    """Return the layers of the inspector's JSON. Raises ValueError if it has none."""
    try:
        layers = json.loads(text)["Layers"]
    except (KeyError, TypeError) as error:
        raise ValueError("the inspector describes no layers") from error
    return [_layer(one) for one in layers]


def precisions(layers: Sequence[Layer], times_ms: Mapping[str, float]) -> Precisions:
    """Sum up layers; `times_ms` by name is from the profiler, which does not time every one of them."""
    total = sum(times_ms.values())
    int8 = [layer for layer in layers if layer.precision == "INT8" and not layer.is_reformat]
    others = [layer.name for layer in layers if layer.precision != "INT8" and not layer.is_reformat]
    share = sum(times_ms.get(layer.name, 0.0) for layer in int8) / total if total else 0.0
    return Precisions(
        layers=len(layers),
        int8_layers=len(int8),
        int8_time_share=share,
        int8_written=sum(layer.written == "INT8" for layer in int8),
        reformats=tuple(layer.name for layer in layers if layer.is_reformat),
        not_int8=tuple(sorted(others, key=lambda name: -times_ms.get(name, 0.0))),
    )


def profile(trt: Any, runner: TensorRTRunner, batch: int, runs: int = 20) -> dict[str, float]:
    """Return each layer's mean time in ms. Profiled layers run one by one, so their sum is not a latency."""
    found: dict[str, float] = {}
    for run in profiled_runs(trt, runner, batch, runs):
        for name, ms in run.items():
            found[name] = found.get(name, 0.0) + ms / runs
    return found


def profiled_runs(trt: Any, runner: TensorRTRunner, batch: int, runs: int) -> list[dict[str, float]]:
    """Return the time of each layer in ms, for each run."""
    times: list[dict[str, float]] = []

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        """Keeps what TensorRT reports after every run."""

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times[-1][layer_name] = times[-1].get(layer_name, 0.0) + ms

    profiler = Profiler()
    runner.context.profiler = profiler
    for _ in range(runs):
        times.append({})
        runner.enqueue(batch, copies=False)
        runner.synchronize()
    return times


def _layer(described: Any) -> Layer:
    if isinstance(described, str):  # without detailed profiling an engine only has the layers' names
        return Layer(described, UNKNOWN, UNKNOWN, UNKNOWN, "reformat" in described.lower())
    kind, name = str(described.get("LayerType", UNKNOWN)), str(described.get("Name", ""))
    is_reformat = "reformat" in kind.lower() or name.lower().startswith("reformat")
    return Layer(
        name=name,
        kind=kind,
        precision=_type(described, "Inputs"),
        written=_type(described, "Outputs"),
        is_reformat=is_reformat,
        reads=_names(described, "Inputs"),
        writes=_names(described, "Outputs"),
        origin=str(described.get("Metadata", "")),
    )


def _names(described: Any, side: str) -> tuple[str, ...]:
    return tuple(str(one.get("Name", "")) for one in described.get(side) or [])


def _type(described: Any, side: str) -> str:
    first = (described.get(side) or [{}])[0]
    form = str(first.get("Format/Datatype", first.get("Datatype", ""))).lower()
    return next((meaning for word, meaning in TYPES if word in form), UNKNOWN)
