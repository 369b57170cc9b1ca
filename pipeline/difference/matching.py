"""Finds, for each tensor of one network, the same tensor of another: by its name, else by its place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.difference.real_graph import RealGraph, RealNode

Array = NDArray[Any]
Values = Mapping[str, Array]


class MatchedBy(StrEnum):
    """How tensors of two networks were found to be the same."""

    NAME = "name"
    PLACE = "place among operators of the same kind and size"


NEAR = 3
"""How many places further on or back a branch may stand."""
FOLLOWERS = ("Relu", "Clip", "Identity", "Flatten", "Reshape", "Transpose", "Squeeze", "Cast")
"""Operators that another tool folds into what they read, or writes in another way."""


@dataclass(frozen=True)
class Matching:
    """Tensors of a network A, and what they are called in B."""

    names: Mapping[str, str]
    by: MatchedBy
    tensors: int
    """How many tensors of A were to be matched."""

    @property
    def share(self) -> float:
        """Return the share of A's tensors that have a counterpart."""
        return len(self.names) / max(1, self.tensors)


Exchange = Callable[[RealGraph, RealGraph, Mapping[str, str]], dict[str, str]]
"""Puts layers that a matching by place has taken for each other right."""


def match_tensors(
    a: RealGraph, b: RealGraph, a_values: Values, b_values: Values, exchanged: Exchange
) -> Matching:
    """Return the counterparts of A's tensors, in A's order.

    Names are used where at least half of A's tensors have a namesake of the same shape and operator: a tool
    that folds a ReLU into a convolution gives the convolution's output the ReLU's name. Otherwise the two
    lists of operators, each with the shapes of what it computes and of its kernels, are aligned (Ratcliff and
    Obershelp 1988); layers that stand in another order are told apart by their weights. What another tool
    folds into others is left out, such as a ReLU into the range of a quantiser.
    """
    ours = [node.output for node in a.nodes if node.output in a_values]
    theirs = {node.output for node in b.nodes if node.output in b_values}
    named = {name: name for name in ours if name in theirs and a_values[name].shape == b_values[name].shape}
    if 2 * sum(_same_operator(a, b, name) for name in named) >= len(ours):
        named.setdefault(a.output, b.output)
        return Matching({name: named[name] for name in ours if name in named}, MatchedBy.NAME, len(ours))
    placed = _by_place(a, b, a_values, b_values, exchanged)
    placed[a.output] = b.output
    return Matching({name: placed[name] for name in ours if name in placed}, MatchedBy.PLACE, len(ours))


def _same_operator(a: RealGraph, b: RealGraph, name: str) -> bool:
    ours, theirs = a.producer(name), b.producer(name)
    return ours is not None and theirs is not None and ours.operator == theirs.operator


def _by_place(
    a: RealGraph, b: RealGraph, a_values: Values, b_values: Values, exchanged: Exchange
) -> dict[str, str]:
    ours, theirs = _signatures(a, a_values), _signatures(b, b_values)
    matcher = SequenceMatcher(None, [sign for _, sign in ours], [sign for _, sign in theirs], autojunk=False)
    found: dict[str, str] = {}
    a_end = b_end = 0
    for block in matcher.get_matching_blocks():
        found |= _between(ours[a_end : block.a], theirs[b_end : block.b])
        for offset in range(block.size):
            found[ours[block.a + offset][0]] = theirs[block.b + offset][0]
        a_end, b_end = block.a + block.size, block.b + block.size
    found |= _left_over(ours, theirs, found)
    return _with_followers(a, b, a_values, b_values, exchanged(a, b, found))


Signed = Sequence[tuple[str, tuple[object, ...]]]


def _between(ours: Signed, theirs: Signed) -> dict[str, str]:
    """Match what is alike between two blocks, in its own order, where both have as many."""
    found: dict[str, str] = {}
    for sign in dict.fromkeys(one for _, one in ours):
        mine, other = ([name for name, one in both if one == sign] for both in (ours, theirs))
        if len(mine) == len(other):
            found |= dict(zip(mine, other, strict=True))
    return found


def _left_over(ours: Signed, theirs: Signed, found: Mapping[str, str]) -> dict[str, str]:
    """Match what is left, between the matched tensors that stand around it."""
    taken, at = set(found.values()), {name: number for number, (name, _) in enumerate(theirs)}
    places = {number: at[found[name]] for number, (name, _) in enumerate(ours) if name in found}
    more: dict[str, str] = {}
    for number, (name, sign) in enumerate(ours):
        if name in found:
            continue
        before = max((places[one] for one in places if one < number), default=-1)
        near = range(max(0, before - NEAR), min(len(theirs), before + NEAR + 1))
        fits = [theirs[one][0] for one in near if theirs[one][1] == sign and theirs[one][0] not in taken]
        if len(fits) == 1:
            more[name] = fits[0]
            taken.add(fits[0])
    return more


def _signatures(graph: RealGraph, values: Values) -> list[tuple[str, tuple[object, ...]]]:
    return [
        (node.output, (node.operator, values[node.output].shape, _weight_shape(graph, node)))
        for node in graph.nodes
        if node.output in values
        and np.issubdtype(values[node.output].dtype, np.floating)
        and node.operator not in FOLLOWERS
    ]


def _weight_shape(graph: RealGraph, node: RealNode) -> tuple[int, ...]:
    """Return the size of a convolution's kernels: two branches can give tensors of one size."""
    weight = graph.constants.get(node.inputs[1]) if node.operator == "Conv" else None
    return () if weight is None else tuple(weight.shape)


def _with_followers(
    a: RealGraph, b: RealGraph, a_values: Values, b_values: Values, found: dict[str, str]
) -> dict[str, str]:
    """Also match operators that some forms of a network lack, where both networks have them."""
    readers = {(node.operator, node.inputs[0]): node for node in b.nodes if node.operator in FOLLOWERS}
    for node in a.nodes:
        if node.operator not in FOLLOWERS or node.output not in a_values:
            continue
        other = readers.get((node.operator, found.get(node.inputs[0], "")))
        if other is None or other.output not in b_values:
            continue
        if b_values[other.output].shape == a_values[node.output].shape:
            found[node.output] = other.output
    return found
