"""Builds engines with NVIDIA's program trtexec, on devices whose Python has no TensorRT."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .build import BuildOptions, Say, heartbeat
from .candidate import Candidate
from .engine import EngineProblem
from .onnx_input import OnnxInput
from .sparse_weights import has_sparse_weights

INSTALLED = "/usr/src/tensorrt/bin/trtexec"


def find_trtexec() -> str:
    """Return the path of trtexec; empty where there is none."""
    return shutil.which("trtexec") or (INSTALLED if Path(INSTALLED).is_file() else "")


def trtexec_version(program: str) -> str:
    """Return TensorRT's version as trtexec prints it: [TensorRT v100300] is 10.3.0, v8502 is 8.5.2."""
    _, output = _run([program, "--help"])
    found = re.search(r"TensorRT v(\d+)", output)
    if not found:
        raise EngineProblem(f"{program} does not print the version of its TensorRT")
    number = int(found.group(1))
    major, rest = divmod(number, 10000) if number >= 100000 else divmod(number, 1000)
    minor, patch = divmod(rest, 100)
    return f"{major}.{minor}.{patch}"


def arguments(
    version: str, onnx: Path, candidate: Candidate, options: BuildOptions, cache: Path, plan: Path
) -> list[str]:
    """Return the arguments with which trtexec of this version builds the same as `build_engine`.

    The names and their versions are those of samples/common/sampleOptions.cpp in NVIDIA's TensorRT:
    --buildOnly became --skipInference in 8.6, which also brought --maxAuxStreams; 11 dropped --fp16.
    """
    since_8_6 = tuple(int(part) for part in version.split(".")[:2]) >= (8, 6)
    found = [
        f"--onnx={onnx}",
        f"--saveEngine={plan}",
        f"--timingCacheFile={cache}",
        f"--memPoolSize=workspace:{options.workspace_mib}",
        "--profilingVerbosity=detailed",
        "--skipInference" if since_8_6 else "--buildOnly",
    ]
    if since_8_6:
        found.append("--maxAuxStreams=0")
    if candidate.strongly_typed:
        found.append("--stronglyTyped")
    else:
        found += ["--fp16", *(["--int8"] if candidate.int8 else [])]
    if has_sparse_weights(onnx.read_bytes()):
        found.append("--sparsity=enable")
    return found + _profile(OnnxInput.read(onnx), options)


def _profile(image: OnnxInput, options: BuildOptions) -> list[str]:
    if image.shape[0] >= 0:  # trtexec refuses shapes for a graph whose batch is fixed
        return []
    rest = "x".join(map(str, image.shape[1:]))
    names = "minShapes", "optShapes", "maxShapes"
    return [f"--{name}={image.name}:{batch}x{rest}" for name, batch in zip(names, options.batches)]


def build_with_trtexec(
    program: str,
    version: str,
    onnx: Path,
    candidate: Candidate,
    options: BuildOptions,
    cache: Path,
    say: Say,
) -> bytes:
    """As `build_engine`. Raises EngineProblem with the errors that trtexec reported, or its last output."""
    with tempfile.TemporaryDirectory(prefix="edgec-trtexec-") as scratch:
        plan = Path(scratch) / "plan"
        with heartbeat(f"building {onnx.name} with trtexec", say):
            code, output = _run([program, *arguments(version, onnx, candidate, options, cache, plan)])
        if code or not plan.is_file():
            why = _errors(output) or f"exit code {code}"
            raise EngineProblem(f"trtexec of TensorRT {version} cannot build {onnx.name}: {why}")
        return plan.read_bytes()


def _run(command: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError as error:
        raise EngineProblem(f"{command[0]} does not run here: {error.strerror}") from error
    return done.returncode, done.stdout.decode(errors="replace")


def _errors(output: str) -> str:
    """Return the last lines marked [E], without their time, or the last line if none is marked."""
    lines = output.strip().splitlines()
    errors = [line.partition("[E] ")[2] for line in lines if "[E] " in line]
    return "; ".join(errors[-3:] or lines[-1:])
