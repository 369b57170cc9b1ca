"""Runs islands in the build process, for the oracle: the engine's TIR, compiled without optimisation."""

import ctypes
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.tvm.floats.float_code import compile_floats
from targets.tvm.floats.relax import FloatProgram, program
from targets.tvm.integer_graph import Island
from targets.tvm.isa import ISAS, Isa
from targets.tvm.link import link_functions

Array = NDArray[Any]
_ALIGNMENT = 64


def evaluate(island: Island, values: Mapping[str, Array]) -> dict[str, Array]:
    """Compute an island's outputs for inputs [N, *shape], one image after the other."""
    run = _runner(island)
    count = len(next(iter(values.values()))) if island.inputs else 1
    rows = [run({dense.name: values[dense.name][i] for dense in island.inputs}) for i in range(count)]
    return {dense.name: np.stack([row[dense.name] for row in rows]) for dense in island.outputs}


@dataclass(frozen=True, eq=False)
class _Runner:
    """The functions of an island, loaded."""

    island: Island
    program: FloatProgram
    library: ctypes.CDLL

    def __call__(self, values: Mapping[str, Array]) -> dict[str, Array]:
        memory = {name: _aligned(v.nbytes, v) for name, v in {**values, **self.program.constants}.items()}
        memory |= {buffer.name: _aligned(buffer.size) for buffer in self.program.buffers}
        memory |= {dense.name: _aligned(dense.size) for dense in self.island.outputs}
        for call in self.program.calls:
            pointers = [ctypes.c_void_p(memory[name].ctypes.data) for name in call.arguments]
            self.library[call.function](*pointers)
        return {d.name: memory[d.name].view(d.dtype).reshape(d.shape) for d in self.island.outputs}


def _aligned(size: int, value: Array | None = None) -> NDArray[np.uint8]:
    """Bytes at the start of a cache line, as the engine gives them; zeros, or a copy of `value`."""
    room = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    part = room[start : start + size]
    if value is not None:
        part[:] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    return part


@cache
def _runner(island: Island) -> _Runner:
    lowered = program(island)
    with tempfile.TemporaryDirectory(prefix="edgec-floats-") as scratch:
        objects, library = Path(scratch) / "floats.o", Path(scratch) / "floats.so"
        compile_floats(lowered.functions, _machine(), objects, plain=True)
        link_functions(objects, _machine(), library)
        return _Runner(island, lowered, ctypes.CDLL(str(library)))


def _machine() -> Isa:
    return ISAS["neon" if platform.machine() == "aarch64" else "avx2"]
