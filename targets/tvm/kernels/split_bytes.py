"""Splits a convolution's input into the low seven bits of every byte and the top bits.

Without VNNI, vpmaddubsw multiplies most bytes at a time, but adds two products in int16. With seven bits the
sum fits. Top bits are rare where large values are, as behind a ReLU. Masks name the granules of an input
pixel that have some, and only those are multiplied a second time.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from tvm import tirx

from targets.tvm.isa import Isa
from targets.tvm.kernels.copied_rows import WORTH, CopiedRows, read_pixels
from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.kernels.strides import Strides
from targets.tvm.layout import CHANNEL_ALIGNMENT, Layout

LOW_BITS = 7
MOST_LOW = (1 << LOW_BITS) - 1
GRANULE = 4
"""Bytes that a bit of a mask stands for."""
MASK_CHANNELS = 64 * GRANULE
"""Input channels that a mask stands for."""
MASK_BYTES = 8
_LINE = 64
_LARGEST_ZERO = 64
"""The highest zero point. With a higher one top bits are frequent, as values lie on both sides of it."""


@dataclass(frozen=True, kw_only=True)
class SplitBytes(CopiedRows):
    """`height` rows of `width` pixels, halo included; x: bytes between those that are read.

    A row that is written has the low bits of its pixels, the top bits as 0 or 1, and the masks of each pixel.
    """

    written: ClassVar[str] = "split"

    @property
    def masks(self) -> int:
        """Masks of a pixel."""
        return -(-self.channels // MASK_CHANNELS)

    @property
    def top_bits(self) -> int:
        """Bytes from a row's start to its top bits."""
        return self.width * self.channels

    @property
    def first_mask(self) -> int:
        """Bytes from a row's start to its masks."""
        return 2 * self.top_bits

    @property
    def row(self) -> int:
        """Bytes of a row that is written."""
        size = self.first_mask + self.width * self.masks * MASK_BYTES
        return -(-size // _LINE) * _LINE

    @property
    def strides(self) -> Strides:
        """Bytes between rows and pixels that are written."""
        return Strides(self.row, self.channels)

    @property
    def size(self) -> int:
        """Bytes that are written."""
        return self.height * self.row

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        masks = k.view("y", "uint64")
        whole, rest = divmod(self.channels, MASK_CHANNELS)
        with k.items() as row, k.loop(self.width) as column:
            x = k.let(row * self.x.row + column * self.x.pixel)
            y = k.let(row * self.row + column * self.channels)
            first = row * (self.row // MASK_BYTES) + self.first_mask // MASK_BYTES
            mask = k.let(first + column * self.masks)
            with k.loop(whole) as n:
                at = n * MASK_CHANNELS
                k.store(masks, mask + n, self._split(k, x + at, y + at, MASK_CHANNELS))
            if rest:
                at = whole * MASK_CHANNELS
                k.store(masks, mask + whole, self._split(k, x + at, y + at, rest))
        return k.function(name)

    def _split(self, k: Emitter, x: Expr, y: Expr, channels: int) -> Expr:
        """Write the channels of one mask; returns it."""
        found: Expr = tirx.const(0, "uint64")
        at = 0
        while at < channels:
            width = min(4 * min(self.isa.lanes, 8), channels - at)
            read = k.let(k.load(k.x, x + at, width))
            low = read & splat(tirx.const(MOST_LOW, "uint8"), width)
            top = k.let(tirx.shift_right(read, splat(tirx.const(LOW_BITS, "uint8"), width)))
            k.store(k.y, y + at, low, width)
            k.store(k.y, y + (self.top_bits + at), top, width)
            found = found | tirx.shift_left(self._any(k, top, width), tirx.const(at // GRANULE, "uint64"))
            at += width
        return k.let(found)

    @staticmethod
    def _any(k: Emitter, top: Expr, width: int) -> Expr:
        """A bit for each granule that is not zero: the sign bit of its negation."""
        lanes = width // GRANULE
        minus = splat(tirx.const(0, "int32"), lanes) - tirx.reinterpret(f"int32x{lanes}", top)
        name = {4: "llvm.x86.sse.movmsk.ps", 8: "llvm.x86.avx.movmsk.ps.256"}[lanes]
        signs = k.call("int32", name, tirx.reinterpret(f"float32x{lanes}", minus))
        return signs.astype("uint64")


def split_bytes(
    isa: Isa,
    output: tuple[int, int],
    reach: tuple[int, int],
    stride: tuple[int, int],
    x: Layout,
    products: int,
    zero: int,
) -> SplitBytes | None:
    """The kernel that splits a convolution's input; None where it does not pay. Arguments as for `widen`.

    `zero`: the zero point of x. A single pixel is not worth the lists.
    """
    if not isa.multiplies_words or products < WORTH or zero > _LARGEST_ZERO:
        return None
    if x.channels % CHANNEL_ALIGNMENT or output == (1, 1):
        return None
    read = read_pixels(output, reach, stride, x)
    return SplitBytes(isa=isa, height=read.height, width=read.width, channels=x.channels, x=read.x)
