"""Gathers a pixel's whole window, for images, whose rows of three channels do not fill a vector.

A row of a 7 x 7 kernel on RGB has 21 bytes and is multiplied as 24 or 32; the seven together have 147 and are
multiplied as 148 to 160. The windows of a block are copied once and used by all output channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from targets.tvm.kernels.emitter import Emitter, Expr

_VECTOR = 16
_WORTH = 0.9
"""Windows are gathered if at most this share of the granules remains."""


@dataclass(frozen=True)
class Gather:
    """A window of `rows` runs of `run` bytes, `row_step` bytes apart."""

    rows: int
    row_step: int
    run: int

    @property
    def size(self) -> int:
        """Bytes from one gathered window to the next, with room for what is copied beyond the last run."""
        last, length = _copies(self.run)[-1]
        return -(-((self.rows - 1) * self.run + last + length) // _VECTOR) * _VECTOR

    def emit(self, k: Emitter, base: Expr, windows: Sequence[int]) -> list[int]:
        """Copy the windows that begin at `base` + each offset to where steps read; return their new offsets.

        What is copied beyond a run is overwritten by the next run; beyond the last one, weights are zero.
        """
        k.source = into = k.local(len(windows) * self.size)
        with k.loop(self.rows) as row:  # a loop, so that LLVM does not try to keep it all in registers
            begin, end = k.let(base + row * self.row_step), k.let(row * self.run)
            for (at, window), (byte, length) in product(enumerate(windows), _copies(self.run)):
                vector = k.load(k.x, begin + (window + byte), length)
                k.store(into, end + (at * self.size + byte), vector, length)
        return [at * self.size for at in range(len(windows))]


def _copies(run: int) -> list[tuple[int, int]]:
    """First byte and length of each copy that a run takes: two vectors at a time, or one for what is left."""
    return [(at, 2 * _VECTOR if run - at > _VECTOR else _VECTOR) for at in range(0, run, 2 * _VECTOR)]


def worth_gathering(rows: int, run: int, granule: int) -> bool:
    """Whether a window in one piece has fewer granules than its rows have."""
    return -(-rows * run // granule) <= _WORTH * rows * -(-run // granule)
