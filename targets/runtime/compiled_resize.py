"""The resize in C: a small library beside this file in a bundle, or compiled once for the user.

Where neither can be had (no compiler, another processor, nowhere to write) NumPy does the same in more time.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Sequence

import numpy as np

from .zig import run_zig

MACHINES = ("x86_64", "aarch64")
"""Those that bundles have a library for."""
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
        """Call edgec_resize: `sizes` are the fields of edgec_scaling, pictures are addresses."""
        scaling = (ctypes.c_int64 * 10)(*sizes)
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
        return ResizeLibrary(shipped if shipped.is_file() else _compiled_here(machine))
    except (OSError, RuntimeError):
        return None


def compile_library(machine: str, output: Path) -> None:
    """Compile the library for a machine. The bytes depend on the source and zig alone. Raises OSError."""
    target = ("-target", f"{machine}-linux-gnu.2.28")
    result = run_zig([*target, *_OPTIONS, f"-I{_SOURCES[1].parent}"], _SOURCES[:1], output)
    if result.returncode:
        raise OSError(f"zig cannot compile {_SOURCES[0]}: {result.stderr[-2000:]}")


def _compiled_here(machine: str) -> Path:
    """Return the user's own library, which is compiled if there is none of this source."""
    if machine not in MACHINES or not _SOURCES[0].is_file():
        raise OSError("there is nothing to compile here")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES) + repr(_OPTIONS).encode())
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgec"
    made = folder / f"resize-{machine}-{digest.hexdigest()[:16]}.so"
    if made.is_file():
        return made
    if find_spec("ziglang") is None:
        raise OSError("there is no compiler here")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=str(folder)) as scratch:
        compile_library(machine, Path(scratch) / "library")
        (Path(scratch) / "library").replace(made)  # another process may do the same
    return made
