"""The resize in C: a small library beside this file in a bundle, or compiled once for the user.

Where neither can be had (no compiler, another processor, nowhere to write) NumPy does the same in more time.
"""

from __future__ import annotations

import ctypes
import platform
from functools import lru_cache
from pathlib import Path
from typing import Sequence

import numpy as np

from .c_library import GLIBC, CompiledOnce
from .zig import run_zig

_HERE = Path(__file__).parent
_SOURCES = (_HERE / "native" / "resize.c", _HERE / "native" / "resize.h")
_OPTIONS = ("-shared", "-fPIC", "-nostdlib", "-std=c11", "-O3", "-s", "-fno-sanitize=all")


class ResizeLibrary:
    """An opened library."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if the file is none for this processor."""
        opened = ctypes.CDLL(str(path))
        self._scratch = opened.edgec_resize_scratch
        self._scratch.argtypes = (ctypes.c_void_p,)
        self._scratch.restype = ctypes.c_int64
        self._resize = opened.edgec_resize
        self._resize.argtypes = (*(ctypes.c_void_p,) * 4, ctypes.c_int64)
        self._resize.restype = None

    def resize(self, sizes: Sequence[int], picture: int, out: int, out_stride: int) -> None:
        """Call edgec_resize: `sizes` are the first fields of edgec_scaling, pictures are addresses."""
        scaling = (ctypes.c_int64 * 12)(*sizes)
        scratch = np.empty(self._scratch(scaling), np.uint8)
        self._resize(scaling, picture, scratch.ctypes.data, out, out_stride)


def file_name(machine: str) -> str:
    """Return the library's name in a bundle, beside this file."""
    return f"resize-{machine}.so"


@lru_cache(maxsize=None)
def library() -> ResizeLibrary | None:
    """Return the library for this machine, compiled if need be; None where there is none to be had."""
    machine = platform.machine()
    shipped = _HERE / file_name(machine)
    try:
        return ResizeLibrary(shipped if shipped.is_file() else COMPILED.folder(machine) / shipped.name)
    except (OSError, RuntimeError):
        return None


def compile_library(machine: str, output: Path) -> None:
    """Compile the library for a machine. The bytes depend on the source and zig alone. Raises OSError."""
    target = ("-target", f"{machine}-linux-gnu.{GLIBC}")
    result = run_zig([*target, *_OPTIONS, f"-I{_SOURCES[1].parent}"], _SOURCES[:1], output)
    if result.returncode:
        raise OSError(f"zig cannot compile {_SOURCES[0]}: {result.stderr[-2000:]}")


def _compile_into(machine: str, folder: Path) -> None:
    compile_library(machine, folder / file_name(machine))


COMPILED = CompiledOnce("resize", _SOURCES, _OPTIONS, _compile_into)
