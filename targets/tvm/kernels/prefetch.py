"""Prefetches the weights of the next block of channels while a block is computed.

A network's weights do not stay in the level 2 cache from one inference to the next. Weights lie in the order
of execution, so what follows a block is the next block, or the next layer's first.
"""

from dataclasses import dataclass

from targets.tvm.kernels.emitter import Emitter, Expr

_LINE = 64
_MOST_AT_ONCE = 16
"""More requests than this in a row wait for each other."""
_SMALL = 8 << 10
"""Networks with smaller blocks of weights than this many bytes keep them all in the cache."""


@dataclass(frozen=True)
class Ahead:
    """The loop of a nest in which cache lines are prefetched, and how many in each turn."""

    bytes: int
    depth: int
    lines: int

    @staticmethod
    def plan(size: int, trips: tuple[int, ...]) -> "Ahead":
        """Spread the lines of `size` bytes over the outermost of nested loops that is fine enough."""
        turns, wanted = 1, -(-size // _LINE)
        if size < _SMALL:
            return Ahead(size, 0, 0)
        for depth, trip in enumerate(trips):
            turns *= trip
            lines = -(-wanted // turns)
            if lines <= _MOST_AT_ONCE:
                return Ahead(size, depth, lines)
        return Ahead(size, len(trips) - 1, lines)

    def emit(self, k: Emitter, depth: int, base: Expr, turn: Expr) -> None:
        """In the loop at `depth`, ask for this turn's share of what begins at the weight offset `base`."""
        if depth != self.depth or not self.lines:
            return
        first = k.let(base + turn * (self.lines * _LINE))
        for line in range(self.lines):
            k.prefetch(k.w, first + line * _LINE)
