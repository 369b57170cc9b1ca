"""Finds the fastest block sizes of every convolution in a network by measuring.

Candidates are the tiles with the lowest estimates, each with either operand staying in the cache. Kernels
whose inner loops move accumulators to the stack are left out by looking at their assembly; on ARM without a
board also those whose inner loops llvm-mca, where it is installed, expects to keep the pipes less busy. The
best of many candidates is also a lucky one. So it is measured again beside the estimate's choice, and the
whole interval has to be better.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from targets.runtime.quantile import QuantileEstimate, quantile
from targets.tvm import schedule
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import Isa
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.layout import layouts
from targets.tvm.lower import lower
from targets.tvm.operators.convolution import Conv
from targets.tvm.tile import ConvShape, Tile
from targets.tvm.tuning.assembly import dots, dots_a_cycle, inner_loops, spills
from targets.tvm.tuning.cost import Cost
from targets.tvm.tuning.database import TunedTile
from targets.tvm.tuning.harness import build
from targets.tvm.weights import conv_geometry

TILES = 12
"""The default number of tiles to try, of those with the lowest estimates."""
_FEW = 0.05
"""Up to this many vectors on the stack for each product are taken for constants, not for sums."""
_BUSY = 0.97
"""The least throughput of inner loops relative to the best, by llvm-mca."""


@dataclass(frozen=True)
class Convolution:
    """A convolution to be tuned, and a kernel of it."""

    shape: ConvShape
    kernel: ConvKernel
    times: int = 1
    """How often the network has it."""


@dataclass(frozen=True)
class Tuned:
    """The tile of a convolution, and the rounds in which it was measured beside the estimate's choice."""

    entry: TunedTile
    rounds: NDArray[np.float64]
    """[estimate's choice and tile, rounds]: the cost of all convolutions of this shape."""
    tried: int
    """How many tiles were measured."""

    def __str__(self) -> str:
        tile, ratio = self.entry.tile, self.entry.cost / self.entry.estimated
        sizes = (
            f"{tile.rows}x{tile.columns} pixels x {tile.vectors}, {tile.stay} stay, unrolled {tile.unroll}"
        )
        return f"{self.entry.shape}: {sizes}, {ratio:.3f} of the estimate's, {self.tried} tried"


def convolutions(graph: IntegerGraph, isa: Isa) -> list[Convolution]:
    """All different convolutions of a network whose block sizes are not fixed."""
    places = layouts(graph, isa)
    kernels = {step.node: step.kernel for step in lower(graph, isa).steps}
    found: dict[str, Convolution] = {}
    times = Counter[str]()
    for op in graph.operators:
        if isinstance(op, Conv) and isinstance(kernel := kernels.get(op.node), ConvKernel):
            shape = conv_geometry(op, places[op.input.name], kernel.isa).shape
            if shape.chained:
                continue
            found.setdefault(shape.name, Convolution(shape, kernel))
            times[shape.name] += 1
    return [replace(one, times=times[name]) for name, one in found.items()]


def tune(one: Convolution, cost: Cost, tiles: int = TILES) -> Tuned:
    """Return the best of `tiles` tiles for a convolution. Raises EngineError."""
    tried = _fit(one, tiles)
    kernels = [replace(one.kernel, tile=tile) for tile in tried]
    with tempfile.TemporaryDirectory(prefix="edgec-tune-") as folder:
        program = build(kernels, Path(folder))
        costs = cost(program, range(len(kernels)))
        best = int(np.median(costs, axis=1).argmin())
        rounds = cost(program, (0, best)) if best and not cost.is_exact else costs[[0, best]]
    if not is_better(rounds):
        best, rounds = 0, rounds[[0, 0]]
    before, after = (float(np.median(row)) for row in rounds)
    entry = TunedTile(one.shape.name, tried[best], after, before, cost.unit)
    return Tuned(entry, one.times * rounds, len(tried))


def is_better(rounds: NDArray[np.float64]) -> bool:
    """Whether the second of two candidates costs less. Of times, the whole interval has to be lower."""
    if rounds.shape[1] == 1:
        return bool(rounds[1, 0] < rounds[0, 0])
    high = quantile(rounds[1] / rounds[0], 0.5).high
    return high is not None and high < 1


def gained(tuned: Sequence[Tuned]) -> QuantileEstimate:
    """The cost of all convolutions together relative to that of the estimates' choices, with its interval.

    Each round of one convolution is put together with the same round of the others.
    """
    rounds = min(one.rounds.shape[1] for one in tuned)
    before, after = np.sum([one.rounds[:, :rounds] for one in tuned], axis=0)
    return quantile(after / before, 0.5)


def _fit(one: Convolution, count: int) -> list[Tile]:
    """Candidates whose accumulators stay in registers, the one with the lowest estimate first."""
    tiles = schedule.ranked(one.shape, one.kernel.isa)[:count]
    tiles = [v for tile in tiles for v in _variants(tile, one)]
    code = {tile: inner_loops(replace(one.kernel, tile=tile)) for tile in tiles}
    kept = [tile for tile in tiles if not any(_spills(loop, one.kernel) for loop in code[tile])] or tiles[:1]
    if one.kernel.inner.rated_by_mca:
        rates = {tile: dots_a_cycle(code[tile], one.kernel) or 0.0 for tile in kept}
        kept = [tile for tile in kept if rates[tile] >= _BUSY * max(rates.values())]
    return kept


def _spills(loop: list[str], kernel: ConvKernel) -> bool:
    """Whether accumulators move. Where a loop is written out, biases and multipliers do, once a block."""
    return spills(loop) > _FEW * dots(loop, kernel)


def _variants(tile: Tile, one: Convolution) -> Iterator[Tile]:
    yield tile
    if one.kernel.isa.signed:  # instructions do not depend on what stays in the cache
        if one.kernel.granules >= 2 * one.kernel.inner.unit:
            yield replace(tile, unroll=2)
        return
    if one.kernel.row_blocks > 1 and tile.vectors * one.kernel.isa.lanes < one.shape.channels:
        yield replace(tile, stay="pixels")
    for unroll in (1, 4):
        if unroll != tile.unroll and unroll <= one.kernel.granules:
            yield replace(tile, unroll=unroll)
