"""./build_on_device.py: build the engines here, prove what they compute, time them, and choose one.

Steps that were done before for the same ONNX, TensorRT and device are not done again.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from . import tensorrt_build as building
from .cuda import Cuda, CudaError
from .device_report import measured
from .jetson import DeviceFacts, locked_clocks, read_facts
from .manifest import Manifest, ManifestError
from .measure import Settings
from .tensorrt_engine import CHOICE, FP16, INT8, EngineKey, EnginePlace, EngineProblem, chosen, digest, write
from .tensorrt_runner import open_plan

OLDEST, NEWEST = (8, 5), 11
NO_INT8 = 61  # the first compute capability with INT8 dot products
OPTIONS = "build_options.json"
REPORT = "device.json"


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the program on the unpacked bundle in `folder`. Returns the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a cut connection: clocks are restored
    try:
        if options.command == "probe":
            print(json.dumps(asdict(read_facts())))
        elif options.command == "logits":
            _logits(folder / "engine", options.images, options.output)
        else:
            _build(folder, options)
    except (EngineProblem, ManifestError, CudaError, OSError) as error:
        print(f"build_on_device: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build_on_device.py", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("probe", help="print what this device is, as JSON")
    build = commands.add_parser(
        "build", help="build, check, time and choose (what happens without a command)"
    )
    for one in (parser, build):
        one.add_argument(
            "--workspace-mib", type=int, default=1024, help="memory for building (default: 1024)"
        )
        one.add_argument("--batch", type=int, default=1, help="the batch to tune for (default: 1)")
        one.add_argument("--largest-batch", type=int, default=8, help="the largest batch (default: 8)")
        one.add_argument("--max-drop", type=float, default=1.0, help="points of top-1 that INT8 may lose")
        one.add_argument("--keep-clocks", action="store_true", help="do not lock clocks while timing")
    logits = commands.add_parser("logits", help="run the chosen engine on an .npy of images")
    logits.add_argument("images", type=Path)
    logits.add_argument("output", type=Path)
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


def _build(folder: Path, options: argparse.Namespace) -> None:
    Manifest.read(folder).check(folder)
    engines = folder / "engine"
    facts = read_facts()
    _say(f"device: {facts}")
    _check(facts)
    wanted = building.BuildOptions(options.workspace_mib, options.batch, options.largest_batch)
    write(engines / OPTIONS, json.dumps(asdict(wanted)).encode())
    for precision in (INT8, FP16):
        _make(engines, precision, facts, wanted)
    report = engines / REPORT
    key = [asdict(_key(engines, precision, facts, wanted)) for precision in (INT8, FP16)]
    if report.is_file() and json.loads(report.read_text()).get("keys") == key:
        _say(f"measured before: {report}")
        return
    trt = _tensorrt()
    places = {precision: EnginePlace(engines, precision).plan for precision in (INT8, FP16)}
    held = nullcontext(False) if options.keep_clocks else locked_clocks(engines / "clocks.saved", _say)
    with held as locked:
        settings, evaluation = Settings(batch=options.batch), folder / "evaluation.npz"
        found = measured(trt, Cuda.load(), places, evaluation, settings, options.max_drop, _say)
    record = {"keys": key, "facts": asdict(facts), "clocks_locked": locked, **found}
    write(report, json.dumps(record).encode())
    write(engines / CHOICE, json.dumps({"precision": found["chosen"], "why": found["why"]}).encode())
    _say("{}: {}".format(found["chosen"], found["why"]))


def _check(facts: DeviceFacts) -> None:
    """Raise EngineProblem with one line that says why nothing can be built here."""
    if not facts.sm:
        raise EngineProblem("no NVIDIA GPU answers here: engines for a Jetson are built on the Jetson itself")
    if int(facts.sm) < NO_INT8:
        raise EngineProblem("{} (sm_{}) has no INT8 arithmetic".format(facts.module or "this GPU", facts.sm))
    if not facts.tensorrt:
        if not building.find_trtexec():
            raise EngineProblem("TensorRT is not installed: apt install nvidia-jetpack")
        return
    version = tuple(int(part) for part in facts.tensorrt.split(".")[:2])
    if version < OLDEST or version[0] > NEWEST:
        raise EngineProblem(f"TensorRT {facts.tensorrt} is here; 8.5 to 11 can build this bundle")


def _make(engines: Path, precision: str, facts: DeviceFacts, options: building.BuildOptions) -> None:
    place = EnginePlace(engines, precision)
    key = _key(engines, precision, facts, options)
    problem = place.problem(key)
    if not problem:
        _say(f"{precision}: built before")
        return
    _say(f"{precision}: {problem}")
    onnx, cache = engines / building.onnx_name(precision, key.tensorrt), engines / "timing.cache"
    if facts.tensorrt:
        plan = building.build_engine(_tensorrt(), onnx, precision, options, cache, _say)
    else:
        program = building.find_trtexec()
        plan = building.build_with_trtexec(program, key.tensorrt, onnx, precision, options, cache, _say)
    place.store(plan, key)


def _key(engines: Path, precision: str, facts: DeviceFacts, options: building.BuildOptions) -> EngineKey:
    version = facts.tensorrt or building.trtexec_version()
    onnx = digest(engines / building.onnx_name(precision, version))
    return EngineKey(onnx, version, facts.sm, facts.module, facts.l4t, str(options))


def current_key(engines: Path, precision: str) -> EngineKey:
    """Return the key that an engine of `precision` must have here, with the options it was asked for."""
    try:
        options = building.BuildOptions(**json.loads((engines / OPTIONS).read_text()))
    except (OSError, ValueError, TypeError):
        options = building.BuildOptions()
    return _key(engines, precision, read_facts(), options)


def _logits(engines: Path, images: Path, output: Path) -> None:
    """Run the chosen engine on images uint8 [N, H, W, C] and write float32 [N, classes]."""
    precision = chosen(engines)
    place = EnginePlace(engines, precision)
    problem = place.problem(current_key(engines, precision))
    if problem:
        raise EngineProblem(f"the engine cannot be used: {problem}. Run ./build_on_device.py again")
    with open_plan(place.plan, _tensorrt(), Cuda.load()) as runner:
        logits = runner.infer(np.load(images, allow_pickle=False))
    scratch = output.with_name(output.name + ".part.npy")
    np.save(scratch, logits)
    scratch.replace(output)


def _tensorrt() -> Any:
    try:
        import tensorrt  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise EngineProblem(
            "the engines are built, but Python has no tensorrt to run them: apt install python3-libnvinfer"
        ) from None
    return tensorrt
