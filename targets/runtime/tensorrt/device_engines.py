"""Checks whether this device can build a bundle's engines, builds them, and finds those that can be used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Callable

from . import build as building
from .candidate import Candidate, candidate_named, candidates
from .dla import ranges_file
from .engine import EngineKey, EnginePlace, EngineProblem, digest, write
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
    version = builds_with(facts)
    parts = tuple(int(part) for part in version.split(".")[:2])
    if parts < OLDEST or parts[0] > NEWEST:
        raise EngineProblem(f"TensorRT {version} is here; 8.5 to 11 can build this bundle")


def builds_with(facts: DeviceFacts) -> str:
    """Return the version of the TensorRT that builds here: Python's, or trtexec's."""
    return facts.tensorrt or trtexec_version(find_trtexec())


def make_engines(
    engines: Path, facts: DeviceFacts, options: building.BuildOptions, say: Say
) -> dict[str, EngineKey]:
    """Build INT8 and FP16 where they are missing, outdated or tuned for another power mode.

    Returns their keys.
    """
    write(engines / OPTIONS, json.dumps(asdict(options)).encode())
    required = [one for one in candidates(builds_with(facts)) if one.is_required]
    return {one.name: make_engine(engines, one, facts, options, say) for one in required}


def make_engine(
    engines: Path,
    candidate: Candidate,
    facts: DeviceFacts,
    options: building.BuildOptions,
    say: Say,
    place: EnginePlace | None = None,
) -> EngineKey:
    """Build the engine of a candidate, if that is not done yet, and return its key. Raises EngineProblem.

    It is called after the candidate, or as `place` says.
    """
    key = engine_key(engines, candidate, facts, options)
    place = place or EnginePlace(engines, candidate.name)
    problem = place.problem(key, facts.power_mode)
    if not problem:
        say(f"{place.name}: built before")
        return key
    say(f"{place.name}: {problem}")
    onnx = engines / candidate.onnx
    cache = engines / timing_cache_name(key, facts.power_mode)
    if facts.tensorrt:
        plan = building.build_engine(tensorrt(), onnx, candidate, options, cache, say)
    else:
        program = find_trtexec()
        plan = build_with_trtexec(program, key.tensorrt, onnx, candidate, options, cache, say)
    place.store(plan, key, facts.power_mode)
    return key


def timing_cache_name(key: EngineKey, power_mode: str) -> str:
    """Return the file for the times of kernels: one for each TensorRT, module, L4T and power mode.

    TensorRT itself tells GPUs and its own versions apart, not the clocks under which it timed.
    """
    where = json.dumps([key.tensorrt, key.sm, key.module, key.l4t, power_mode])
    return f"timing-{hashlib.sha256(where.encode()).hexdigest()[:12]}.cache"


def engine_key(
    engines: Path, candidate: Candidate, facts: DeviceFacts, options: building.BuildOptions
) -> EngineKey:
    """Return what decides whether a candidate's engine can be used here now."""
    how = f"{options}, {'strongly' if candidate.strongly_typed else 'weakly'} typed"
    onnx = digest(engines / candidate.onnx)
    if candidate.on_dla:  # the file itself is the same under all ranges
        how += f", ranges {digest(ranges_file(engines / candidate.onnx))[:12]}"
    return EngineKey(onnx, builds_with(facts), facts.sm, facts.module, facts.l4t, how)


def usable(engines: Path, name: str) -> Path:
    """Return the engine of a candidate. Raises EngineProblem if there is none for this device now."""
    facts = read_facts()
    candidate = candidate_named(name, builds_with(facts))
    try:
        key = engine_key(engines, candidate, facts, build_options(engines))
    except FileNotFoundError:
        problem = f"{candidate.onnx} is missing"
    else:
        problem = EnginePlace(engines, name).problem(key)
    if problem:
        raise EngineProblem(f"the {name} engine cannot be used: {problem}. Run ./build_on_device.py again")
    return EnginePlace(engines, name).plan


def build_options(engines: Path) -> building.BuildOptions:
    """Return the options of the last build here."""
    try:
        return building.BuildOptions(**json.loads((engines / OPTIONS).read_text()))
    except (OSError, ValueError, TypeError):
        return building.BuildOptions()


def tensorrt() -> Any:
    """Return the module of TensorRT. Raises EngineProblem if Python has none."""
    try:
        import tensorrt as found  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise EngineProblem(
            "Python has no tensorrt here to run engines: apt install python3-libnvinfer"
        ) from None
    return found
