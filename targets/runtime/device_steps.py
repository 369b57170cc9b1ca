"""The steps of building on a device, each to be asked for over SSH: the answer is the last line, as JSON.

python3 program.pyz probe
python3 program.pyz engines FOLDER      build what is not built yet; FOLDER/engine has the ONNX files
python3 program.pyz stream FOLDER [--precision int8|fp16]       pixels from stdin, logits to stdout
python3 program.pyz measure FOLDER IMAGES
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np

from . import tensorrt_build as building
from .cuda import Cuda, CudaError
from .device_report import timed
from .jetson import DeviceFacts, locked_clocks, read_facts
from .measure import Settings
from .tensorrt_engine import FP16, INT8, EngineKey, EnginePlace, EngineProblem, digest, write
from .tensorrt_runner import open_plan
from .trtexec import build_with_trtexec, find_trtexec, trtexec_version

OLDEST, NEWEST = (8, 5), 11
NO_INT8 = 61  # the first compute capability with INT8 dot products
OPTIONS = "build_options.json"
Say = Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one step. Returns the exit code; a failure is one line on stderr."""
    options = _parser().parse_args(arguments)
    end_politely()
    try:
        _step(options)
    except (EngineProblem, CudaError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


def end_politely() -> None:
    """Let a cut connection, which ends this program by SIGTERM, run what restores the clocks."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="step", required=True)
    commands.add_parser("probe")
    engines = commands.add_parser("engines")
    stream = commands.add_parser("stream")
    measure = commands.add_parser("measure")
    for one in (engines, stream, measure):
        one.add_argument("folder", type=Path)
    engines.add_argument("--options", type=json.loads, default={}, help="JSON of BuildOptions")
    stream.add_argument("--precision", choices=(INT8, FP16), default=INT8)
    measure.add_argument("images", type=Path, help=".npy, uint8 [N, H, W, C]")
    measure.add_argument("--settings", type=json.loads, default={}, help="JSON of measuring's Settings")
    return parser


def _step(options: argparse.Namespace) -> None:
    if options.step == "probe":
        _answer(asdict(read_facts()))
        return
    engines = options.folder / "engine"
    if options.step == "engines":
        facts = read_facts()
        check(facts)
        keys = make_engines(engines, facts, building.BuildOptions(**options.options), _say)
        _answer({precision: asdict(key) for precision, key in keys.items()})
    elif options.step == "stream":
        with open_plan(usable(engines, options.precision), tensorrt(), Cuda.load()) as runner:
            _stream(runner)
    else:
        images = np.load(str(options.images), allow_pickle=False)
        plans = {precision: usable(engines, precision) for precision in (INT8, FP16)}
        settings = Settings(**options.settings)
        with locked_clocks(engines / "clocks.saved", _say) as locked:
            found = timed(tensorrt(), Cuda.load(), plans, images, settings)
        _answer({**found, "clocks_locked": locked, "facts": asdict(read_facts())})


def _answer(values: dict[str, Any]) -> None:
    print(json.dumps(values), flush=True)


def _say(line: str) -> None:
    print(line, flush=True)


def check(facts: DeviceFacts) -> None:
    """Raise EngineProblem with one line that says why nothing can be built on this device."""
    if not facts.sm:
        raise EngineProblem("no NVIDIA GPU answers here: engines for a Jetson are built on the Jetson itself")
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
    """Build the engines that are not there yet, or are for something else, and return what they are for."""
    write(engines / OPTIONS, json.dumps(asdict(options)).encode())
    keys = {precision: _key(engines, precision, facts, options) for precision in (INT8, FP16)}
    for precision, key in keys.items():
        place = EnginePlace(engines, precision)
        problem = place.problem(key)
        if not problem:
            say(f"{precision}: built before")
            continue
        say(f"{precision}: {problem}")
        onnx, cache = engines / building.onnx_name(precision, key.tensorrt), engines / "timing.cache"
        if facts.tensorrt:
            plan = building.build_engine(tensorrt(), onnx, precision, options, cache, say)
        else:
            program = find_trtexec()
            plan = build_with_trtexec(program, key.tensorrt, onnx, precision, options, cache, say)
        place.store(plan, key)
    return keys


def _key(engines: Path, precision: str, facts: DeviceFacts, options: building.BuildOptions) -> EngineKey:
    version = _builds_with(facts)
    onnx = digest(engines / building.onnx_name(precision, version))
    return EngineKey(onnx, version, facts.sm, facts.module, facts.l4t, str(options))


def usable(engines: Path, precision: str) -> Path:
    """Return the engine of a precision. Raises EngineProblem if there is none for this device as it is."""
    try:
        options = building.BuildOptions(**json.loads((engines / OPTIONS).read_text()))
    except (OSError, ValueError, TypeError):
        options = building.BuildOptions()
    place = EnginePlace(engines, precision)
    problem = place.problem(_key(engines, precision, read_facts(), options))
    if problem:
        raise EngineProblem(f"the {precision} engine cannot be used: {problem}. Build it here again")
    return place.plan


def _stream(runner: Any) -> None:
    """Answer every image on stdin with its logits, until stdin ends."""
    pixels = runner.pixels[0]
    while True:
        image = sys.stdin.buffer.read(pixels.nbytes)
        if len(image) < pixels.nbytes:
            return
        logits = runner.infer(np.frombuffer(image, np.uint8).reshape((1, *pixels.shape)))
        sys.stdout.buffer.write(logits.astype("<f4").tobytes())
        sys.stdout.buffer.flush()


def tensorrt() -> Any:
    """Return the module of TensorRT. Raises EngineProblem if Python has none."""
    try:
        import tensorrt as found  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise EngineProblem(
            "Python has no tensorrt here to run engines: apt install python3-libnvinfer"
        ) from None
    return found
