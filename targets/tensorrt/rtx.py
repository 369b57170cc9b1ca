"""Compiles by an NVIDIA parser and compiler, without a GPU: TensorRT-RTX, of the extra `jetson`.

It checks that the graph parses, that its types agree, and that every convolution becomes an INT8 kernel. It
makes no engine for a Jetson, and shows nothing about fusion or speed there.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from targets.errors import EngineError
from targets.runtime.tensorrt.mixed_onnx import QdqFile
from targets.runtime.tensorrt.separate_qdq import NamingLayer, separate_qdq, words
from targets.tensorrt.rtx_layers import not_in, read_layers

PACKAGE = "tensorrt_rtx_cu13"
ROOT = Path(__file__).resolve().parents[2]
HARMLESS = ("CUDA driver", "cudaError", "catchCudaError")
"""Errors that TensorRT-RTX logs on every machine without a GPU."""
NAMES = {"INT8": "Int8", "FP8": "FP8"}
"""What TensorRT-RTX calls types in its log."""
TIMEOUT_S = 1800  # 1,202 layers took more than 600 s on a machine that others used too


def installed() -> str | None:
    """Return the version of TensorRT-RTX; None if it is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return None


def check_int8(model: Path, convolutions: Sequence[str], capability: str) -> str:
    """Check as `check_multiplies` that convolutions compute in INT8."""
    return check_multiplies("INT8", model, convolutions, capability)


def check_multiplies(kind: str, model: Path, convolutions: Sequence[str], capability: str) -> str:
    """Compile `model` for a compute capability such as SM86 and return what was found, in one sentence.

    Raises EngineError if it does not compile, or if one of the `convolutions`, named as ONNX nodes, is not
    computed in `kind`: INT8 or FP8.
    """
    written_so = NAMES[kind]
    with tempfile.TemporaryDirectory(prefix="edgec-rtx-") as scratch:
        log = Path(scratch) / "build.log"
        outcome = _compile(model, capability, log)
        layers = read_layers(log.read_text(encoding="utf-8", errors="replace").splitlines())
    wrong = not_in(written_so, layers, convolutions)
    if wrong:
        raise EngineError(
            f"TensorRT-RTX {outcome['version']} runs {len(wrong)} of {len(convolutions)} convolutions of "
            f"{model.name} in float: {', '.join(wrong[:5])}{', ...' if len(wrong) > 5 else ''}"
        )
    network = QdqFile(model.read_bytes())
    apart = separate_qdq(network, [NamingLayer(one.name, one.kind, one.nodes) for one in layers])
    convolving = [layer for layer in layers if layer.multiplies(written_so)]
    written = sum(layer.outputs[:1] == (written_so,) for layer in convolving)
    return (
        f"TensorRT-RTX {outcome['version']} compiles {model.name} for {capability}: all {len(convolutions)} "
        f"convolutions multiply {kind}; {written} of the {len(convolving)} layers that do so write {kind}, "
        f"the others floats; {len(layers)} layers in all; {words(apart)}. No statement about fusion or speed "
        "on a Jetson"
    )


def check_compiles(model: Path, capability: str) -> str:
    """Compile a float `model` and return what was found, in one sentence. Raises EngineError."""
    with tempfile.TemporaryDirectory(prefix="edgec-rtx-") as scratch:
        outcome = _compile(model, capability, Path(scratch) / "build.log")
    return f"TensorRT-RTX {outcome['version']} compiles {model.name} for {capability}"


def _compile(model: Path, capability: str, log: Path) -> dict[str, str]:
    """Run the compiler in its own process, so that a crash is an error like others."""
    arguments = [str(model.absolute()), capability, str(log)]
    command = [sys.executable, "-m", "targets.tensorrt.rtx_compile", *arguments]
    try:
        child = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"TensorRT-RTX took more than {TIMEOUT_S} s to compile {model.name}.") from None
    if child.returncode:
        raise EngineError(
            f"TensorRT-RTX ended with exit code {child.returncode} on {model.name}: {child.stderr[-1000:]}"
        )
    outcome: dict[str, str] = json.loads(child.stdout.splitlines()[-1])
    if outcome["stage"] != "built":
        errors = [error for error in outcome["errors"] if not any(word in error for word in HARMLESS)]
        verb = "read" if outcome["stage"] == "parse" else "compile"
        reasons = "\n".join(f"  {error}" for error in errors[:5]) or "  it did not say why"
        raise EngineError(f"TensorRT-RTX {outcome['version']} cannot {verb} {model.name}:\n{reasons}")
    return outcome
