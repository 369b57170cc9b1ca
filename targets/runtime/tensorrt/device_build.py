"""./build_on_device.py: builds the engines of all candidates here, checks and times them, and chooses one.

Steps that were done for the same ONNX files, TensorRT, device and circumstances are not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from ..bundle.manifest import EVALUATION, Manifest, ManifestError
from ..measure import Settings
from .build import BuildOptions
from .candidate import MIXED
from .clocks import can_be_locked, locked_clocks
from .competition import Competition, keys_of, plans_of
from .cuda import Cuda, CudaError
from .device_engines import check, make_engines, tensorrt
from .device_report import measured
from .device_steps import end_politely
from .engine import EngineChoice, EngineKey, EnginePlace, EngineProblem, write
from .jetson import read_facts

if TYPE_CHECKING:
    from pathlib import Path

    from .competition import TriedEngine
    from .layer_costs import LayerCost

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
    parser.add_argument("--quick", action="store_true", help="build and compare INT8 and FP16 alone")
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
    quick: bool

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
    make_engines(engines, facts, wanted, _say)
    if not facts.tensorrt:
        _say("Both engines are built. None was run, since Python has no tensorrt here:")
        _say("sudo apt install python3-libnvinfer, and run this again to check, time and choose.")
        return NOT_MEASURED
    around = Circumstances(
        facts.power_mode, can_be_locked(), options.keep_clocks, options.batch, options.max_drop, options.quick
    )
    competition = Competition(engines, facts, _say)
    trials = competition.required() if around.quick else competition.build()
    if not _measured_before(engines / REPORT, trials, around):
        _measure(folder, competition, trials, around)
    return 0


def _measured_before(report: Path, trials: Sequence[TriedEngine], around: Circumstances) -> bool:
    try:
        found = json.loads(report.read_text())
        built, before = dict(found["keys"]), found["circumstances"]
        mixed = built.pop(MIXED, None)
        problem = EnginePlace(report.parent, MIXED).problem(EngineKey(**mixed)) if mixed else ""
    except (OSError, ValueError, KeyError, TypeError):
        return False
    differences = around.differences(before)
    if built == keys_of(trials) and not problem and not differences:
        _say(f"measured before: {report}")
        return True
    if differences:
        _say(f"measured again: {'; '.join(differences)}")
    return False


def _measure(
    folder: Path, competition: Competition, trials: list[TriedEngine], around: Circumstances
) -> None:
    engines = folder / "engine"
    costs: list[LayerCost] = []
    trt, cuda, settings = tensorrt(), Cuda.load(), Settings(batch=around.batch)
    held = nullcontext(False) if around.keep_clocks else locked_clocks(engines / "clocks.saved", _say)
    with held as locked:
        if not around.quick:
            mixed, costs = competition.mix(trials, trt, cuda, around.batch)
            trials = [*trials, mixed]
        plans = plans_of(engines, trials)
        evaluation = folder / EVALUATION
        found = measured(trt, cuda, plans, evaluation, settings, around.max_drop, _say)
    record = {
        "keys": keys_of(trials),
        "circumstances": asdict(around),
        "facts": asdict(competition.facts),
        "clocks_locked": locked,
        "candidates": [asdict(trial) for trial in trials],
        "layer_costs": [asdict(cost) for cost in costs],
        **found,
    }
    write(engines / REPORT, json.dumps(record).encode())
    EngineChoice(found["chosen"], found["in_place"], found["why"]).write(engines)
    _say(f"{found['chosen']}: {found['why']}")
