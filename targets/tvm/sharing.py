"""Decides which rows of a step threads wait for before they begin the next step.

Each thread computes an equal share of a step's items. Where items are rows, the other threads' next step
needs only the rows at the ends of the share. The thread computes these first and reports it; the others go on
while it computes the rows inside. The bytes that work items touch decide how many rows that takes, and that
no thread writes where another still reads.
"""

from dataclasses import dataclass
from itertools import permutations, product

from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.kernels.depthwise import DepthwiseKernel
from targets.tvm.kernels.elementwise import CopyKernel, ImageKernel
from targets.tvm.kernels.lookup import LookupKernel
from targets.tvm.kernels.narrow import NarrowKernel
from targets.tvm.kernels.pair import PairKernel
from targets.tvm.kernels.rectify import RectifyKernel
from targets.tvm.kernels.regrid import RegridKernel
from targets.tvm.kernels.split_bytes import SplitBytes
from targets.tvm.kernels.spread import SpreadKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.two_operands import TwoOperandKernel
from targets.tvm.kernels.widen import WidenKernel
from targets.tvm.program import Fill, Step

ALL = -1
"""The others wait for all of a share."""
MOST_THREADS = 8
"""More than these always wait for all; EDGEC_OVERLAPPING in runtime/native/executor.h."""
_WIDEST = 2

_ByPixels = LookupKernel | RectifyKernel | TwoOperandKernel | CopyKernel | RegridKernel | NarrowKernel
Bytes = range
"""Addresses in the arena: the first, and the one after the last."""


@dataclass(frozen=True)
class Touched:
    """The bytes that some work items of a step read and write, or a few more."""

    reads: tuple[Bytes, ...] = ()
    writes: tuple[Bytes, ...] = ()


def share(items: int, thread: int, threads: int) -> range:
    """A thread's work items; the first threads have more where they do not divide."""
    return range(-(-items * thread // threads), -(-items * (thread + 1) // threads))


def inside(items: range, edge: int, thread: int, threads: int) -> range:
    """Those of a share that others do not wait for. The first and the last thread have one edge only."""
    begin = items.start + (edge if thread > 0 else 0)
    end = items.stop - (edge if thread + 1 < threads else 0)
    return range(begin, max(begin, end))


def edge(step: Step, following: Step) -> int:
    """The fewest items at the ends of a share without which `following` cannot begin elsewhere, or ALL."""
    for items in range(_WIDEST + 1):
        if all(independent(step, following, items, threads) for threads in range(2, MOST_THREADS + 1)):
            return items
    return ALL


def independent(step: Step, following: Step, items: int, threads: int) -> bool:
    """Whether a thread may be inside its share of `step` while others are anywhere in `following`."""
    for slow, fast in permutations(range(threads), 2):
        behind = inside(share(step.kernel.items, slow, threads), items, slow, threads)
        ahead = share(following.kernel.items, fast, threads)
        if behind and ahead and _conflict(touched(step, behind), touched(following, ahead, fills=True)):
            return False
    return True


def touched(step: Step, items: range, fills: bool = False) -> Touched | None:
    """The bytes touched by computing these items, with `fills` also around them; None if not known."""
    match step.kernel:
        case DepthwiseKernel() | ConvKernel(logits=False) as kernel:
            found = _by_convolution(step, kernel, items)
        case CopyKernel() | LookupKernel() | RectifyKernel() | RegridKernel() | NarrowKernel() as kernel:
            found = Touched(
                (_pixels(step.x, items, kernel.x, kernel),), (_pixels(step.y, items, kernel.y, kernel),)
            )
        case TwoOperandKernel() as kernel:
            both = (_pixels(step.x, items, kernel.x, kernel), _pixels(step.r, items, kernel.r, kernel))
            found = Touched(both, (_pixels(step.y, items, kernel.y, kernel),))
        case ImageKernel() as kernel:
            found = Touched((), (_rows(step.y, items, kernel.stride, kernel.row),))
        case PairKernel() | SplitBytes() | SpreadKernel() | WidenKernel() as kernel:
            read, written = kernel.reads(items), range(items.start * kernel.row, items.stop * kernel.row)
            found = Touched((_moved(read, step.x),), (_moved(written, step.y),))
        case _:
            return None
    if fills and step.fill is not None:
        return Touched(found.reads, (*found.writes, _filled(step.fill, items, step.kernel.items)))
    return found


def pitch(step: Step) -> int:
    """Bytes of the result from one work item to the next; 0 if there is only one."""
    if step.kernel.items == 1:
        return 0
    first, second = (touched(step, range(n, n + 1)) for n in range(2))
    return second.writes[0].start - first.writes[0].start if first and second else 0


def _by_convolution(step: Step, kernel: ConvKernel | DepthwiseKernel, items: range) -> Touched:
    rows = kernel.rows(items)
    reads = [_rows(step.x, rows, kernel.row_step, kernel.reach)]
    if kernel.residual:
        reads.append(_pixels(step.r, rows, kernel.residual, kernel))
    return Touched(tuple(reads), (_pixels(step.y, rows, kernel.y, kernel),))


def _rows(address: int, rows: range, stride: int, size: int) -> Bytes:
    """From the first row to the end of the last, which has `size` bytes."""
    return range(address + rows[0] * stride, address + rows[-1] * stride + size)


def _pixels(
    address: int,
    rows: range,
    strides: Strides,
    kernel: ConvKernel | DepthwiseKernel | _ByPixels,
) -> Bytes:
    """All of these rows of pixels."""
    size = strides.span(kernel.width, kernel.channels)
    return _rows(address, rows, strides.row * strides.element, size)


def _moved(found: Bytes, by: int) -> Bytes:
    return range(found.start + by, found.stop + by)


def _filled(fill: Fill, items: range, of: int) -> Bytes:
    """The bytes that the runtime fills with these items: to the right of their rows, and beyond both ends."""
    layout = fill.layout
    first, after = (layout.height * n // of for n in (items.start, items.stop))
    begin = fill.address + (layout.origin + first * layout.row if items.start else 0)
    end = fill.address + (layout.origin + after * layout.row if items.stop < of else layout.size)
    return range(begin, end)


def _conflict(behind: Touched | None, ahead: Touched | None) -> bool:
    """Whether one may write what the other reads or writes."""
    if behind is None or ahead is None:
        return True
    both = [*product(behind.writes, ahead.reads + ahead.writes), *product(behind.reads, ahead.writes)]
    return any(a.start < b.stop and b.start < a.stop for a, b in both)
