"""edgec: the engine file, through the runner that ships with it."""

import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import serve  # type: ignore[import-not-found] # beside it, where it is run

from targets.runtime.native_runner import open_engine

_OPENED = ExitStack()
"""Keeps the engine open until the process ends."""


def build(folder: Path) -> None:
    """Compile model.int8.onnx for this machine."""
    from targets.tvm.cpu_target import compile_engine, host_isa

    compile_engine(folder / "model.int8.onnx", host_isa(), folder / "model.engine")


def load(folder: Path, threads: int) -> serve.Infer:
    """Open the engine."""
    return _OPENED.enter_context(open_engine(folder / "model.engine", threads)).infer


if __name__ == "__main__":
    serve.main(build, load, (), "pixels.npy")
