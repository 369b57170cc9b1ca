"""One block of memory for all activations, planned at build time."""

from collections.abc import Sequence
from dataclasses import dataclass

_ALIGNMENT = 64


@dataclass(frozen=True)
class Lifetime:
    """A tensor of `size` bytes, alive from step `first` to step `last`, both included."""

    name: str
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Arena:
    """Offsets of tensors by name, and the size of the block: its peak."""

    offsets: dict[str, int]
    size: int


def plan(lifetimes: Sequence[Lifetime]) -> Arena:
    """Place tensors, the largest first, each at the lowest offset free for its whole life.

    Greedy by size, Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net Inference".
    """
    placed: list[tuple[Lifetime, int]] = []
    for tensor in sorted(lifetimes, key=lambda t: (-t.size, t.first, t.name)):
        offset = 0
        rivals = [(t, at) for t, at in placed if t.first <= tensor.last and tensor.first <= t.last]
        for rival, at in sorted(rivals, key=lambda pair: pair[1]):
            if offset + tensor.size <= at:
                break
            offset = max(offset, _aligned(at + rival.size))
        placed.append((tensor, offset))
    return Arena(
        {t.name: at for t, at in placed}, max((_aligned(at + t.size) for t, at in placed), default=0)
    )


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
