"""How large the inputs, weights and sums are that a convolution by minimal filters has in memory."""

from dataclasses import dataclass

from targets.tvm.kernels.winograd_input import WinogradInput
from targets.tvm.kernels.winograd_pieces import TilePieces
from targets.tvm.kernels.word_products import BLOCK

_APART = 32
"""Bytes more than a power of two between planes, so that they are not at the same places of a cache."""
_SLICE = 64
"""Input channels whose transformed weights are in memory together, where there are more than _AT_ONCE."""
_AT_ONCE = 128
"""So many input channels are not cut into slices: their sums are then written to memory only once."""


@dataclass(frozen=True)
class WinogradSizes:
    """In elements: int16, and uint32 for sums."""

    before: WinogradInput
    pieces: TilePieces

    @property
    def slice(self) -> int:
        """Input channels whose weights are in memory together: all of few, or if used more than once."""
        inputs = self.pieces.inputs
        if not self.pieces.is_one or inputs <= _AT_ONCE:
            return inputs
        return next((size for size in (_SLICE, 32, 16) if inputs % size == 0), inputs)

    @property
    def slice_bytes(self) -> int:
        """Bytes of the weights of a slice, before they are transformed."""
        return self.before.tiling.tile.taps * self.slice * BLOCK

    @property
    def plane(self) -> int:
        """Transformed inputs from one point to the next."""
        return self.before.plane_of(self.pieces.together) if self.pieces.weights_stay else self.before.plane

    @property
    def transformed(self) -> int:
        """Transformed inputs that are in memory together."""
        return self.pieces.points * self.plane

    @property
    def weights(self) -> int:
        """Transformed weights from one point to the next."""
        return self.slice * BLOCK + _APART // 2

    @property
    def block(self) -> int:
        """Transformed weights of a block of output channels."""
        return self.pieces.points * self.weights

    @property
    def blocks(self) -> int:
        """Blocks of output channels."""
        return self.pieces.channels // BLOCK

    @property
    def kept_weights(self) -> int:
        """Transformed weights that are in memory together."""
        return self.block * (self.blocks if self.pieces.weights_stay else 1)

    @property
    def sums(self) -> int:
        """Sums from one point to the next."""
        return self.pieces.together * BLOCK + _APART // 4
