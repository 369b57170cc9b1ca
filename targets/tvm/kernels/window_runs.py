"""How a convolution reads its windows: as runs of bytes that are multiplied with weights in order."""

from dataclasses import dataclass

from targets.tvm.kernels.chained_products import Chains
from targets.tvm.kernels.gather import Gather
from targets.tvm.kernels.pair import PairKernel
from targets.tvm.kernels.split_bytes import SplitBytes
from targets.tvm.kernels.split_products import SplitWindow
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.widen import WidenKernel


@dataclass(frozen=True, kw_only=True)
class WindowRuns:
    """The runs of one window, and where the next window begins.

    `next`: bytes between the windows of neighbouring outputs. `taps`: rows and columns of the kernel that
    begin a run, `run` its bytes, `tap_step` the bytes between runs. `spread`: where runs begin that are read
    together, a chunk of each in turn, so that activations which several taps need are loaded once. `gather`:
    the whole window is brought together first, and is one run; a work item then is all channels of a block of
    rows. `pairs`, `widened` and `split` are kernels that run before, if any: they put rows beside each
    other, make int16 of them, or split bytes into low and top bits. `words`: what is read are int16, stored
    or widened, and distances are in elements. `group`: output and input channels of a group, and the last
    input channel from which on a block reads; one group has (channels, 0, 0). `chains`: granules are
    multiplied in the order of a list. `low`: bytes from the high byte of a number to its low byte, if it has
    one.
    """

    next: Strides
    taps: tuple[int, int]
    tap_step: tuple[int, int]
    run: int
    group: tuple[int, int, int]
    spread: tuple[int, ...] = (0,)
    gather: Gather | None = None
    pairs: PairKernel | None = None
    widened: WidenKernel | None = None
    split: SplitBytes | None = None
    chains: Chains | None = None
    low: int = 0
    words: bool = False

    @property
    def element(self) -> int:
        """Bytes of what is read."""
        return 2 if self.words else 1

    @property
    def before(self) -> PairKernel | WidenKernel | SplitBytes | None:
        """The kernel that first brings the input into another order or form, if there is one."""
        return self.pairs or self.widened or self.split

    @property
    def of_split(self) -> SplitWindow | None:
        """The same, of split pixels."""
        if self.split is None:
            return None
        (rows, columns), pixel = self.taps, self.split.channels
        following = Strides(self.next.row, self.next.pixel // pixel)
        if self.run == pixel:
            return SplitWindow(
                self.split, self.taps, Strides(self.tap_step[0], self.tap_step[1] // pixel), following
            )
        together = (rows, columns * self.run // pixel)
        return SplitWindow(self.split, together, Strides(self.tap_step[0], 1), following)

    @property
    def count(self) -> int:
        """Runs of a window."""
        return self.taps[0] * self.taps[1] * len(self.spread)

    @property
    def chunk(self) -> int:
        """See MatrixStep: 0 where rows do not lie beside each other."""
        return self.pairs.chunk if self.pairs else 0

    def reach(self, width: int) -> int:
        """Bytes from the first that `width` windows of a row read to the one after the last."""
        wide = (width - 1) * self.next.pixel
        if self.gather:
            return wide + (self.gather.rows - 1) * self.gather.row_step + self.gather.run
        (rows, columns), (down, right) = self.taps, self.tap_step
        if whole := self.pairs or self.split:
            return (rows - 1) * down + whole.row
        wide += (columns - 1) * right + max(self.spread) + self.run + self.group[2] + self.low
        return wide + (rows - 1) * down
