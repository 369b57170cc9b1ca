"""./build_on_device.py: builds the engines here, checks their accuracy, times them, and chooses one.

Steps that were done for the same ONNX files, TensorRT and device are not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Sequence

from ..bundle.manifest import Manifest, ManifestError
from ..measure import Settings
from .build import BuildOptions
from .cuda import Cuda, CudaError
from .device_engines import check, make_engines, tensorrt
from .device_report import measured
from .device_steps import end_politely
from .engine import CHOICE, EnginePlace, EngineProblem, write
from .jetson import locked_clocks, read_facts

if TYPE_CHECKING:
    from pathlib import Path

REPORT = "device.json"


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the program on the unpacked bundle in `folder`. Returns the exit code."""
    options = _parser().parse_args(arguments)
    end_politely()
    try:
        _build(folder, options)
    except (EngineProblem, ManifestError, CudaError, OSError) as error:
        print(f"build_on_device: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build_on_device.py", description=__doc__)
    parser.add_argument("--workspace-mib", type=int, default=1024, help="memory to build with")
    parser.add_argument("--batch", type=int, default=1, help="the batch to tune for (default: 1)")
    parser.add_argument("--largest-batch", type=int, default=8, help="the largest batch (default: 8)")
    parser.add_argument("--max-drop", type=float, default=1.0, help="points of top-1 that INT8 may lose")
    parser.add_argument("--keep-clocks", action="store_true", help="do not lock clocks while timing")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


def _build(folder: Path, options: argparse.Namespace) -> None:
    Manifest.read(folder).check(folder)
    engines = folder / "engine"
    facts = read_facts()
    _say(f"device: {facts}")
    check(facts)
    wanted = BuildOptions(options.workspace_mib, options.batch, options.largest_batch)
    keys = make_engines(engines, facts, wanted, _say)
    record = {precision: asdict(key) for precision, key in keys.items()}
    report = engines / REPORT
    if report.is_file() and json.loads(report.read_text()).get("keys") == record:
        _say(f"measured before: {report}")
        return
    plans = {precision: EnginePlace(engines, precision).plan for precision in keys}
    trt, settings = tensorrt(), Settings(batch=options.batch)
    held = nullcontext(False) if options.keep_clocks else locked_clocks(engines / "clocks.saved", _say)
    with held as locked:
        evaluation = folder / "evaluation.npz"
        found = measured(trt, Cuda.load(), plans, evaluation, settings, options.max_drop, _say)
    text = json.dumps({"keys": record, "facts": asdict(facts), "clocks_locked": locked, **found})
    write(report, text.encode())
    write(engines / CHOICE, json.dumps({"precision": found["chosen"], "why": found["why"]}).encode())
    _say(f"{found['chosen']}: {found['why']}")
