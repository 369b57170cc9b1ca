"""Which tiles of a map are computed together, and how threads share them.

A work item is 16 output channels of all tiles. Where a pixel has few channels, two threads would then write
to the same cache lines: there a work item is a part of the tiles, with all channels.

If the transformed weights of all channels fit a core's cache, they stay there while one piece of tiles after
the other is transformed and multiplied by them. So no transformed input is in memory that threads share:
where cores have no cache in common, that would take longer than the products.
"""

from dataclasses import dataclass

from targets.tvm.kernels.word_products import BLOCK, WordProducts
from targets.tvm.tile import Cut, cut

_SUMS = 128 << 10
"""Bytes of sums that are transformed back together."""
_LINES = 128
"""Bytes of a pixel of which each of two threads writes whole cache lines."""
_PARTS = 4
"""Of the tiles, for as many threads. Each thread transforms the weights of all channels."""
_STAYING = 320 << 10
"""Bytes of transformed weights that stay in a core's cache."""
_INPUTS = 160 << 10
"""Bytes of transformed inputs beside them."""
_SMALLEST_PART = 4
"""Tiles."""


@dataclass(frozen=True)
class TilePieces:
    """`points` of each of the `tiles`; `inputs`: input channels; output `channels` as stored."""

    tiles: int
    points: int
    inputs: int
    channels: int
    products: WordProducts

    @property
    def items(self) -> int:
        """Work items: blocks of channels, or parts of the tiles."""
        return self.count if self.by_tiles else self.channels // BLOCK

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The tiles in pieces."""
        return cut(self.tiles, self.together)

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return sum(piece.count for piece in self.cuts)

    @property
    def together(self) -> int:
        """Tiles whose sums are in memory together."""
        places = self.products.places
        fitting = min(self.tiles, max(places, self._most // places * places))
        if not self.by_tiles:
            return fitting
        rounds = -(-self.tiles // (fitting * self._parts))
        return -(-self.tiles // (rounds * self._parts))

    @property
    def by_tiles(self) -> bool:
        """Whether work items are parts of the tiles."""
        return self.channels < _LINES and self._parts > 1

    @property
    def weights_stay(self) -> bool:
        """Whether the transformed weights of all channels are in memory together."""
        return self.by_tiles and 2 * self.points * self.inputs * self.channels <= _STAYING

    @property
    def least(self) -> int:
        """Work items that a thread takes at least: for tiles, it transforms weights again each time."""
        return -(-self.items // _PARTS) if self.by_tiles else 1

    @property
    def is_one(self) -> bool:
        """Whether all tiles are computed together."""
        return self.together == self.tiles

    @property
    def _most(self) -> int:
        sums = _SUMS // (self.points * BLOCK * 4)
        return min(sums, _INPUTS // (2 * self.points * self.inputs)) if self.weights_stay else sums

    @property
    def _parts(self) -> int:
        """Parts of the tiles whose products still fill the registers at least by half."""
        return min(_PARTS, self.tiles // max(_SMALLEST_PART, self.products.places // 2 + 1))
