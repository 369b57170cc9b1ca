"""Builds one engine for programs of others, such as Triton and DeepStream, on the device that it will run on.

python3 build_plan.pyz --plan 1/model.plan [--largest-batch 8]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Sequence

from . import build as building
from .candidate import Candidate, is_strongly_typed
from .cuda import CudaError
from .device_engines import builds_with, check, tensorrt, timing_cache_name
from .engine import INT8, EngineKey, EngineProblem, digest, write
from .jetson import read_facts
from .trtexec import build_with_trtexec, find_trtexec

FLAGS, TYPED = "model_flags.onnx", "model_typed.onnx"
"""The graph for TensorRT 8, which chooses types by flags, and the one for 10 and 11, which has them in it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and return the exit code; a failure is one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        _build(options)
    except (EngineProblem, CudaError, OSError) as error:
        print(f"build_plan: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build_plan", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="where the ONNX files are (default: here)"
    )
    parser.add_argument("--plan", type=Path, required=True, help="the engine to write")
    parser.add_argument("--workspace-mib", type=int, default=1024, help="memory to build with")
    parser.add_argument("--batch", type=int, default=1, help="the batch to tune for (default: 1)")
    parser.add_argument("--largest-batch", type=int, help="build for 1 to so many (default: --batch alone)")
    return parser


def _build(options: argparse.Namespace) -> None:
    facts = read_facts()
    _say(f"device: {facts}")
    check(facts)
    version = builds_with(facts)
    strong = is_strongly_typed(version)
    candidate = Candidate(INT8, TYPED if strong else FLAGS, True, strong)
    onnx = options.folder / candidate.onnx
    wanted = building.BuildOptions(options.workspace_mib, options.batch, options.largest_batch)
    options.plan.parent.mkdir(parents=True, exist_ok=True)
    key = EngineKey(digest(onnx), version, facts.sm, facts.module, facts.l4t, str(wanted))
    cache = options.folder / timing_cache_name(key, facts.power_mode)
    if facts.tensorrt:
        plan = building.build_engine(tensorrt(), onnx, candidate, wanted, cache, _say)
    else:
        plan = build_with_trtexec(find_trtexec(), version, onnx, candidate, wanted, cache, _say)
    write(options.plan, plan)
    _say(f"{options.plan}: {len(plan)} bytes, for TensorRT {version} on this device alone")


def _say(line: str) -> None:
    print(line, flush=True)
