"""Headers of NumPy's .npy files that others made, read before anything is allocated.

NumPy's own reader lets through what its tokenizer and its parser raise, allocates what the header declares,
and takes a zip for a file of several arrays. Specification: numpy.lib.format.
"""

import tokenize
from dataclasses import dataclass
from math import prod
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
)
"""What the parser of the header raises for one that is damaged."""


@dataclass(frozen=True)
class NpyHeader:
    """What a file declares: `start` is where its numbers begin, `size` how many bytes they should have."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    start: int

    @property
    def values(self) -> int:
        """Return how many numbers it has."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Return the bytes of the array."""
        return self.values * self.dtype.itemsize


def read_header(file: IO[bytes], size: int) -> NpyHeader:
    """Read the header of an array of numbers, whose file has `size` bytes.

    Raises ValueError unless it is one, and has exactly the bytes that it declares.
    """
    try:
        shape, is_fortran, dtype = _HEADERS[npy.read_magic(file)](file)
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise ValueError(f"is not an npy array ({reason})") from error
    found = NpyHeader(dtype, tuple(map(int, shape)), bool(is_fortran), file.tell())
    if dtype.hasobject or dtype.kind not in "biuf":
        raise ValueError(f"is declared as {dtype} {_short(found.shape)}, not as an array of numbers")
    if min(found.shape, default=0) < 0 or found.size != size - found.start:
        has = f"{size - found.start:,} bytes"
        raise ValueError(f"is declared as {dtype} {_short(found.shape)}, and has {has}")
    return found


def _short(shape: tuple[int, ...]) -> str:
    text = " x ".join(
        f"{float(min(side, 10**300)):.3g}" if abs(side) > 10**9 else str(side) for side in shape[:8]
    )
    return f"[{text}{' ...' if len(shape) > 8 else ''}]"
