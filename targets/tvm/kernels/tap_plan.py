"""Which rows of pixels a depthwise convolution multiplies together.

An instruction multiplies and adds several bytes of a lane. For a vector of channels these are the same
channel in several rows: rows are interleaved once, and all columns of the kernel and all rows of results that
need them take them from there. Three rows of a kernel leave room for a fourth, the last one of the next
row of results: two rows of results then cost as many interleavings as one.
"""

from dataclasses import dataclass
from functools import cache

Source = tuple[int, int]
"""Row and plane of what is interleaved; see DepthwiseKernel."""

NO_TAP = -1
"""The weight is zero: what is read there belongs to another row of results, or is read twice."""


@dataclass(frozen=True)
class Use:
    """A group of rows as one row of results sees it: for each of its places, the tap of the kernel."""

    group: int
    taps: tuple[int, ...]


@dataclass(frozen=True)
class TapPlan:
    """`groups`: what is interleaved. `uses`: for each row of results the groups that it needs.

    A tap is numbered row * planes + plane.
    """

    groups: tuple[tuple[Source, ...], ...]
    uses: tuple[tuple[Use, ...], ...]

    @property
    def products(self) -> int:
        """Groups that are multiplied with a column of the kernel, for all rows of results."""
        return sum(len(uses) for uses in self.uses)


@cache
def tap_plan(results: int, rows: int, stride: int, dilation: int, planes: int, together: int) -> TapPlan:
    """Plan `results` rows of results of a kernel of `rows` rows; `together` rows are interleaved."""
    taps = [
        {
            (r * stride + t * dilation, plane): t * planes + plane
            for t in range(rows)
            for plane in range(planes)
        }
        for r in range(results)
    ]
    needed = sorted(set().union(*taps))
    groups = tuple(tuple(needed[at : at + together]) for at in range(0, len(needed), together))
    uses = []
    for wanted in taps:
        places = [tuple(wanted.get(source, NO_TAP) for source in group) for group in groups]
        uses.append(tuple(Use(g, found) for g, found in enumerate(places) if set(found) != {NO_TAP}))
    return TapPlan(groups, tuple(uses))
