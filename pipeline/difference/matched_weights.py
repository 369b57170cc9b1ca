"""Tells layers of one size apart by their weights, where two graphs have them in another order."""

from collections.abc import Mapping

import numpy as np

from pipeline.difference.place import Array
from pipeline.difference.real_graph import LAYERS, RealGraph
from pipeline.difference.weights_compared import ComparedWeights, layer_weights

UNLIKE, ALIKE = 0.5, 0.9
"""Correlations of the weights of two layers: of others, and of the same, rounded."""
MOST = 64
"""More layers of one size are left in their order."""


def by_weights(a: RealGraph, b: RealGraph, names: Mapping[str, str]) -> dict[str, str]:
    """Return the matching with layers exchanged whose weights are clearly those of another matched layer."""
    groups: dict[tuple[object, ...], list[tuple[str, ComparedWeights, ComparedWeights]]] = {}
    for ours, theirs in names.items():
        first, second = a.producer(ours), b.producer(theirs)
        if first is None or second is None or first.operator not in LAYERS:
            continue
        if second.operator != first.operator:
            continue
        mine, other = layer_weights(a, first), layer_weights(b, second)
        if mine is not None and other is not None and mine.weight.shape == other.weight.shape:
            groups.setdefault((first.operator, mine.weight.shape), []).append((ours, mine, other))
    changed = dict(names)
    for group in groups.values():
        if 1 < len(group) <= MOST:
            changed |= _exchanged(group, names)
    return changed


def _exchanged(
    group: list[tuple[str, ComparedWeights, ComparedWeights]], names: Mapping[str, str]
) -> dict[str, str]:
    alike = _correlations([one for _, one, _ in group], [one for _, _, one in group])
    unlike = [at for at in range(len(group)) if alike[at, at] < UNLIKE]
    found = {}
    for at in unlike:
        best = max(unlike, key=lambda other: float(alike[at, other]))
        back = max(unlike, key=lambda other: float(alike[other, best]))
        if alike[at, best] > ALIKE and back == at:
            found[group[at][0]] = names[group[best][0]]
    return found if set(found.values()) == {names[name] for name in found} else {}


def _correlations(mine: list[ComparedWeights], other: list[ComparedWeights]) -> Array:
    ours, theirs = (np.stack([_standardised(one.weight) for one in both]) for both in (mine, other))
    found: Array = ours @ theirs.T
    return found


def _standardised(weight: Array) -> Array:
    flat = weight.ravel()[:: max(1, weight.size // 8192)]
    centred = flat - flat.mean()
    size = float(np.sqrt((centred**2).sum()))
    found: Array = centred / size if size > 0 else centred
    return found
