"""Transforms the input of a convolution with stride 2, an image of few channels, for minimal filters.

Every second row and column of an image is a phase of it. A convolution with stride 2 is the sum of four
convolutions with stride 1: of each phase, with every second row and column of the weights. So it is one with
stride 1 and half as many taps along each side, of maps with the four phases of each channel.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from targets.tvm.kernels.emitter import Emitter, Expr
from targets.tvm.kernels.minimal_filter import TileFilter
from targets.tvm.kernels.winograd_input import WinogradInput

PHASES = 2
"""Along each side: the stride."""
_READ = 8
"""Bytes that are read of a row: PHASES pixels, and some behind them."""


def fits_a_read(channels: int) -> bool:
    """Whether all bytes of PHASES pixels are read at once."""
    return PHASES * channels <= _READ


@dataclass(frozen=True, kw_only=True)
class PhasesInput(WinogradInput):
    """Writes int16 [point][tile][phase of rows][phase of columns][channel of the image].

    `reach`: rows and columns of the image, padding included.
    """

    @property
    def lanes(self) -> int:
        """All channels are transformed together."""
        return self.channels

    def reader(
        self, k: Emitter, row: Expr, column: Expr, tile: TileFilter
    ) -> Callable[[Expr, int, int], Expr]:
        """Return what reads the phases at a row and a column of a tile."""
        rows = self.places(k, row, 0, tile.rows, PHASES)
        columns = self.places(k, column, 1, tile.columns, PHASES)[::PHASES]
        pixels = self.channels // PHASES
        lanes = [half * _READ + byte for half in range(PHASES) for byte in range(pixels)]

        def read(_: Expr, i: int, j: int) -> Expr:
            halves = [k.load(k.x, rows[PHASES * i + half] + columns[j], _READ) for half in range(PHASES)]
            return k.let(tirx.Shuffle(halves, lanes).astype(f"int16x{self.channels}"))

        return read
