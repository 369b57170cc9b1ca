"""Checks whether this device can build a bundle's engines, builds them, and finds those that can be used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Callable

from . import build as building
from .engine import FP16, INT8, EngineKey, EnginePlace, EngineProblem, digest, write
from .jetson import DeviceFacts, read_facts
from .trtexec import build_with_trtexec, find_trtexec, trtexec_version

if TYPE_CHECKING:
    from pathlib import Path

OLDEST, NEWEST = (8, 5), 11
NO_INT8 = 61  # the first compute capability with INT8 dot products
OPTIONS = "build_options.json"
Say = Callable[[str], None]


def check(facts: DeviceFacts) -> None:
    """Raise EngineProblem with the reason if nothing can be built on this device."""
    if not facts.sm:
        elsewhere = "" if facts.is_jetson else ". Engines for a Jetson are built on the Jetson itself"
        raise EngineProblem(f"no NVIDIA GPU answers here: {facts.gpu_problem}{elsewhere}")
    if int(facts.sm) < NO_INT8:
        raise EngineProblem(f"{facts.module or 'this GPU'} (sm_{facts.sm}) has no INT8 arithmetic")
    if not facts.tensorrt and not find_trtexec():
        raise EngineProblem("TensorRT is not installed: apt install nvidia-jetpack")
    version = _builds_with(facts)
    parts = tuple(int(part) for part in version.split(".")[:2])
    if parts < OLDEST or parts[0] > NEWEST:
        raise EngineProblem(f"TensorRT {version} is here; 8.5 to 11 can build this bundle")


def _builds_with(facts: DeviceFacts) -> str:
    return facts.tensorrt or trtexec_version(find_trtexec())


def make_engines(
    engines: Path, facts: DeviceFacts, options: building.BuildOptions, say: Say
) -> dict[str, EngineKey]:
    """Build the engines that are missing, outdated or tuned for another power mode, and return their keys."""
    write(engines / OPTIONS, json.dumps(asdict(options)).encode())
    keys = {precision: _key(engines, precision, facts, options) for precision in (INT8, FP16)}
    for precision, key in keys.items():
        place = EnginePlace(engines, precision)
        problem = place.problem(key, facts.power_mode)
        if not problem:
            say(f"{precision}: built before")
            continue
        say(f"{precision}: {problem}")
        onnx = engines / building.onnx_name(precision, key.tensorrt)
        cache = engines / timing_cache_name(key, facts.power_mode)
        if facts.tensorrt:
            plan = building.build_engine(tensorrt(), onnx, precision, options, cache, say)
        else:
            program = find_trtexec()
            plan = build_with_trtexec(program, key.tensorrt, onnx, precision, options, cache, say)
        place.store(plan, key, facts.power_mode)
    return keys


def timing_cache_name(key: EngineKey, power_mode: str) -> str:
    """Return the file for the times of kernels: one for each TensorRT, module, L4T and power mode.

    TensorRT itself tells GPUs and its own versions apart, not the clocks under which it timed.
    """
    where = json.dumps([key.tensorrt, key.sm, key.module, key.l4t, power_mode])
    return f"timing-{hashlib.sha256(where.encode()).hexdigest()[:12]}.cache"


def _key(engines: Path, precision: str, facts: DeviceFacts, options: building.BuildOptions) -> EngineKey:
    version = _builds_with(facts)
    onnx = digest(engines / building.onnx_name(precision, version))
    return EngineKey(onnx, version, facts.sm, facts.module, facts.l4t, str(options))


def usable(engines: Path, precision: str) -> Path:
    """Return the engine of a precision. Raises EngineProblem if there is none for this device now."""
    try:
        options = building.BuildOptions(**json.loads((engines / OPTIONS).read_text()))
    except (OSError, ValueError, TypeError):
        options = building.BuildOptions()
    place = EnginePlace(engines, precision)
    problem = place.problem(_key(engines, precision, read_facts(), options))
    if problem:
        raise EngineProblem(f"the {precision} engine cannot be used: {problem}. Build it here again")
    return place.plan


def tensorrt() -> Any:
    """Return the module of TensorRT. Raises EngineProblem if Python has none."""
    try:
        import tensorrt as found  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise EngineProblem(
            "Python has no tensorrt here to run engines: apt install python3-libnvinfer"
        ) from None
    return found
