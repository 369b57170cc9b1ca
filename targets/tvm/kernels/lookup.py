"""Any function of one byte, looked up in a table of 256: a vector at a time, without branches and gathers.

Every family of processors selects among 16 to 64 entries with one instruction, and puts such parts together.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides


@dataclass(frozen=True, kw_only=True)
class LookupKernel(RowKernel):
    """y = table[x], the table at w as `arranged` returns it."""

    width: int
    channels: int
    x: Strides
    y: Strides

    @property
    def _together(self) -> bool:
        """Whether the bytes of a row lie beside each other on both sides."""
        return self.x.pixel == self.y.pixel == self.channels

    def arranged(self, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A table by uint8 values, in the form that the kernel reads."""
        by_stored = np.roll(table, 128) ^ np.uint8(128) if self.isa.signed else table
        if self.isa.signed or self.isa.lanes == 16 or not self._together:
            return by_stored
        rows = by_stored.reshape(2, 8, 16)
        return np.concatenate([rows[:, :1], rows[:, 1:] ^ rows[:, :-1]], axis=1).ravel()

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        with k.items() as row:
            x, y = k.let(row * self.x.row), k.let(row * self.y.row)
            if self._together:
                self._run(k, x, y)
            else:
                self._bytes(k, x, y)
        return k.function(name)

    def _bytes(self, k: Emitter, x: Expr, y: Expr) -> None:
        table = k.view("w", self.isa.stored)
        with k.loop(self.width) as column, k.loop(self.channels) as channel:
            stored = k.load(k.x, x + column * self.x.pixel + channel).astype("uint8").astype("int64")
            k.store(k.y, y + column * self.y.pixel + channel, k.load(table, stored))

    def _run(self, k: Emitter, x: Expr, y: Expr) -> None:
        lanes, size = 4 * self.isa.lanes, self.width * self.channels
        with k.loop(size // lanes) as chunk:
            k.store(k.y, y + chunk * lanes, self._looked_up(k, x + chunk * lanes), lanes)
        done = size // lanes * lanes
        if rest := size - done:  # the last vector reaches beyond the row; what it finds there is dropped
            found = self._looked_up(k, x + done)
            for first in range(0, rest, 16):
                k.store(k.y, y + (done + first), tirx.Shuffle([found], list(range(first, first + 16))), 16)

    def _looked_up(self, k: Emitter, at: Expr) -> Expr:
        stored = k.let(k.load(k.x, at, 4 * self.isa.lanes))
        if self.isa.signed:
            return k.let(_by_four_rows(k, k.view("w", "int8"), stored))
        if self.isa.lanes == 16:
            return k.let(_by_words(k, k.view("w", "uint8"), stored))
        return k.let(_by_rows(k, k.view("w", "uint8"), stored, 4 * self.isa.lanes))


def _by_words(k: Emitter, table: Buffer, x: Expr) -> Expr:
    """AVX512: two instructions select among 128 words by 7 bits; the last bit is the byte of the word."""
    kind = "uint16x32"
    parts = [k.let(tirx.reinterpret(kind, k.load(table, i, 64))) for i in range(0, 256, 64)]
    both, one, eight, top = (splat(tirx.const(v, "uint16"), 32) for v in (0xFF, 1, 8, 0x80))
    two = k.let(tirx.reinterpret(kind, x))

    def byte(x: Expr) -> Expr:
        """The entries of bytes in words whose upper halves are zero, and something above them."""
        index = k.let(x >> one)
        low, high = (
            k.call(kind, "llvm.x86.avx512.vpermi2var.hi.512", parts[i], index, parts[i + 1]) for i in (0, 2)
        )
        word = tirx.Select((x & top) == splat(tirx.const(0, "uint16"), 32), low, high)
        return word >> ((x & one) << splat(tirx.const(3, "uint16"), 32))

    even, odd = byte(k.let(two & both)), byte(k.let(two >> eight))
    return tirx.reinterpret("uint8x64", (even & both) | (odd << eight))


def _by_rows(k: Emitter, table: Buffer, x: Expr, count: int) -> Expr:
    """SSE and AVX2: pshufb gives zero where the index is negative.

    Of the differences of neighbouring rows, as `arranged` has them, those up to the row of x are added by
    xor: from the index of the next row, 16 is subtracted with saturation. The upper half begins at 128.
    """
    sixteen = splat(tirx.const(16, "uint8"), count)
    name = {16: "llvm.x86.ssse3.pshuf.b.128", 32: "llvm.x86.avx2.pshuf.b"}[count]
    found = None
    for half in (0, 128):
        index = x if half == 0 else k.let(x ^ splat(tirx.const(128, "uint8"), count))
        for first in range(half, half + 128, 16):
            row = k.load(table, first, 16)
            both = tirx.Shuffle([row] * (count // 16), list(range(count)))
            entry = k.call(f"uint8x{count}", name, both, index)
            found = k.let(entry if found is None else found ^ entry)
            index = k.let(k.call(f"uint8x{count}", f"llvm.ssub.sat.v{count}i8", index, sixteen))
    return found


def _by_four_rows(k: Emitter, table: Buffer, x: Expr) -> Expr:
    """ARM: one instruction looks 64 entries up, and leaves alone what is not among them."""
    found = None
    for first in range(0, 256, 64):
        rows = [k.load(table, first + i, 16) for i in range(0, 64, 16)]
        index = x if first == 0 else x - splat(tirx.const(first - 256 if first > 127 else first, "int8"), 16)
        if found is None:
            found = k.call("int8x16", "llvm.aarch64.neon.tbl4.v16i8", *rows, index)
        else:
            found = k.call("int8x16", "llvm.aarch64.neon.tbx4.v16i8", found, *rows, index)
        found = k.let(found)
    return found
