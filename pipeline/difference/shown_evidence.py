"""What a reader can see with his own eyes: the pixels that both first layers read, and values at faults."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.difference.compare import NetworkComparison
from pipeline.difference.place import Array, Sides
from pipeline.difference.real_graph import LAYERS

PICTURES, HISTOGRAMS, BINS = 4, 6, 48
NEAR = 2.0
"""Numbers of B that are within so many times A's range are drawn on A's scale."""


@dataclass(frozen=True)
class ReadPicture:
    """A picture as both first layers read it, uint8 [H, W, C]; None where B's cannot be drawn."""

    a: Array
    b: Array | None


@dataclass(frozen=True)
class ValueHistogram:
    """How often a tensor has which values in A and in B; `limits` is the range of B's quantiser."""

    tensor: str
    low: float
    high: float
    a: tuple[int, ...]
    b: tuple[int, ...]
    limits: tuple[float, float] | None


def read_pictures(sides: Sides) -> tuple[ReadPicture, ...]:
    """Return the first pictures as both first layers read them; empty where those are not planes."""
    node = next((one for one in sides.a.nodes if one.operator in LAYERS), None)
    if node is None or node.inputs[0] not in sides.a_values:
        return ()
    seen = sides.a_values[node.inputs[0]][:PICTURES]
    if seen.ndim != 4 or seen.shape[1] not in (1, 3):
        return ()
    other = sides.b.producer(sides.matching.names.get(node.output, ""))
    read = None if other is None else sides.b_values.get(other.reads[0])
    low, high = float(seen.min()), float(seen.max())
    if read is None or read[:PICTURES].shape != seen.shape or not np.isfinite(read).all():
        return tuple(ReadPicture(_drawn(one, low, high), None) for one in seen)
    own = float(read.min()), float(read.max())
    spread = max(high - low, 1e-12)
    near = 1 / NEAR < (own[1] - own[0]) / spread < NEAR
    limits = (low, high) if near else own
    return tuple(
        ReadPicture(_drawn(ours, low, high), _drawn(theirs, *limits))
        for ours, theirs in zip(seen, read[:PICTURES], strict=True)
    )


def _drawn(planes: Array, low: float, high: float) -> Array:
    """Return planes [C, H, W] as pixels [H, W, C], `low` black and `high` white."""
    shares = (planes.astype(np.float64) - low) / max(high - low, 1e-12)
    return np.asarray(np.clip(np.rint(255 * shares), 0, 255), np.uint8).transpose(1, 2, 0)


def histograms(found: NetworkComparison) -> Iterator[ValueHistogram]:
    """Yield the values at the first places with findings of each kind."""
    sides, places, kinds = found.sides, dict[str, None](), set[str]()
    for one in found.findings:
        if one.place in sides.matching.names and one.kind not in kinds:
            kinds.add(one.kind)
            places[one.place] = None
    for tensor in list(places)[:HISTOGRAMS]:
        theirs = sides.matching.names[tensor]
        ours, values = sides.a_values[tensor], sides.b_values[theirs]
        both = np.concatenate([ours.ravel(), values.ravel()]).astype(np.float64)
        both = both[np.isfinite(both)]
        if not both.size:
            continue
        low, high = float(both.min()), float(both.max())
        if high <= low:
            continue
        edges = np.linspace(low, high, BINS + 1)
        counts = [np.histogram(one[np.isfinite(one)].astype(np.float64), edges)[0] for one in (ours, values)]
        grid = sides.b.grids.get(theirs)
        limits = None if grid is None else (float(grid.limits[0].min()), float(grid.limits[1].max()))
        yield ValueHistogram(tensor, low, high, tuple(counts[0].tolist()), tuple(counts[1].tolist()), limits)
