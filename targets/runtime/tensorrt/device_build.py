"""./build_on_device.py: builds the engines here, checks their accuracy, times them, and chooses one.

Steps that were done for the same ONNX files, TensorRT, device and circumstances are not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from ..bundle.manifest import Manifest, ManifestError
from ..measure import Settings
from .build import BuildOptions
from .clocks import can_be_locked, locked_clocks
from .cuda import Cuda, CudaError
from .device_engines import check, make_engines, tensorrt
from .device_report import measured
from .device_steps import end_politely
from .engine import EngineChoice, EnginePlace, EngineProblem, write
from .jetson import read_facts

if TYPE_CHECKING:
    from pathlib import Path

    from .engine import EngineKey
    from .jetson import DeviceFacts

REPORT = "device.json"
NOT_MEASURED = 3
"""The exit code for engines that were built and could not be run, as `edgec` has for what stays undecided."""


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the program on the unpacked bundle in `folder`. Returns the exit code."""
    options = _parser().parse_args(arguments)
    end_politely()
    try:
        return _build(folder, options)
    except (EngineProblem, ManifestError, CudaError, OSError) as error:
        print(f"build_on_device: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build_on_device.py", description=__doc__)
    parser.add_argument("--workspace-mib", type=int, default=1024, help="memory to build with")
    parser.add_argument("--batch", type=int, default=1, help="the batch to tune for (default: 1)")
    parser.add_argument("--largest-batch", type=int, help="build for 1 to so many (default: --batch alone)")
    parser.add_argument("--max-drop", type=float, default=1.0, help="points of top-1 that INT8 may lose")
    parser.add_argument("--keep-clocks", action="store_true", help="do not lock clocks while timing")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True)
class Circumstances:
    """Everything beside the engines that decides what is measured and chosen."""

    power_mode: str
    clocks_can_be_locked: bool
    keep_clocks: bool
    batch: int
    max_drop: float

    def differences(self, before: Mapping[str, Any]) -> list[str]:
        """Describe the differences from an earlier measurement's: "power mode is MAXN, was 15W"."""
        return [
            "{} is {}, was {}".format(name.replace("_", " "), now, before.get(name, "not recorded"))
            for name, now in asdict(self).items()
            if now != before.get(name)
        ]


def _build(folder: Path, options: argparse.Namespace) -> int:
    Manifest.read(folder).check(folder)
    engines = folder / "engine"
    facts = read_facts()
    _say(f"device: {facts}")
    check(facts)
    wanted = BuildOptions(options.workspace_mib, options.batch, options.largest_batch)
    keys = make_engines(engines, facts, wanted, _say)
    if not facts.tensorrt:
        _say("Both engines are built. None was run, since Python has no tensorrt here:")
        _say("sudo apt install python3-libnvinfer, and run this again to check, time and choose.")
        return NOT_MEASURED
    around = Circumstances(
        facts.power_mode, can_be_locked(), options.keep_clocks, options.batch, options.max_drop
    )
    if not _measured_before(engines / REPORT, keys, around):
        _measure(folder, facts, keys, around)
    return 0


def _measured_before(report: Path, keys: Mapping[str, EngineKey], around: Circumstances) -> bool:
    try:
        found = json.loads(report.read_text())
        built, before = found["keys"], found["circumstances"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    differences = around.differences(before)
    if built == {precision: asdict(key) for precision, key in keys.items()} and not differences:
        _say(f"measured before: {report}")
        return True
    if differences:
        _say(f"measured again: {'; '.join(differences)}")
    return False


def _measure(folder: Path, facts: DeviceFacts, keys: Mapping[str, EngineKey], around: Circumstances) -> None:
    engines = folder / "engine"
    plans = {precision: EnginePlace(engines, precision).plan for precision in keys}
    trt, settings = tensorrt(), Settings(batch=around.batch)
    held = nullcontext(False) if around.keep_clocks else locked_clocks(engines / "clocks.saved", _say)
    with held as locked:
        evaluation = folder / "evaluation.npz"
        found = measured(trt, Cuda.load(), plans, evaluation, settings, around.max_drop, _say)
    record = {
        "keys": {precision: asdict(key) for precision, key in keys.items()},
        "circumstances": asdict(around),
        "facts": asdict(facts),
        "clocks_locked": locked,
        **found,
    }
    write(engines / REPORT, json.dumps(record).encode())
    EngineChoice(found["chosen"], found["in_place"], found["why"]).write(engines)
    _say(f"{found['chosen']}: {found['why']}")
