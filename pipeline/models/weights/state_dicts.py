"""Finds the sets of weights in a training checkpoint, and chooses between them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from torch import Tensor

from pipeline.errors import CheckpointError, listed

AVERAGED = re.compile(
    r"(^|[._])(ema|swa|averaged?|avg|polyak|teacher|shadow\w*|moving_average)([._]|$)|_ema|ema_",
    re.IGNORECASE,
)
"""Names that trainers use for the average of weights over training, which they validate."""
NOT_WEIGHTS = re.compile(r"optim|sched|scaler|hyper|args|config", re.IGNORECASE)
"""Parts of a checkpoint whose tensors are not the network's weights."""
COUNTERS = ("n_averaged", "steps")
"""How often averages were updated, beside their tensors."""
MOST_BESIDE = 4
"""A dictionary may hold this many times the tensors of one network."""
DEPTH = 4
"""The depth of nested dictionaries to search."""
MOST_SETS = 1000
"""Sets of weights in a checkpoint; each has the keys that lead to it in its name."""
PREFIX_PARTS = 16
"""Parts of a prefix, each with a dot behind it; a name may have any number."""
PREFIX_CHARACTERS = 1000


@dataclass(frozen=True)
class StateDict:
    """Tensors by name. place: the keys that lead to them, joined by dots; empty for the file itself.

    exchanged: whether the trainer has put the average where others have the weights of the last step, or
    those in the average's place.
    """

    place: str
    tensors: Mapping[str, Tensor]
    exchanged: bool = False

    @property
    def averaged(self) -> bool:
        """Whether it is an average over training, as its place says or its trainer."""
        return (AVERAGED.search(self.place) is not None) != self.exchanged

    def __str__(self) -> str:
        values = sum(tensor.numel() for tensor in self.tensors.values())
        average = ", an average" if self.exchanged and self.averaged else ""
        return f"{self.place or 'the file itself'} ({len(self.tensors)} tensors, {values:,} values{average})"


@dataclass(frozen=True)
class Fitting:
    """A set of weights under a network's names; `left_out`: the names of other tensors in the set."""

    source: StateDict
    weights: dict[str, Tensor]
    left_out: tuple[str, ...]

    @property
    def averages_left_out(self) -> list[str]:
        """Prefixes named like averages under which weights of another network lie."""
        weights = [key for key in self.left_out if key in self.source.tensors]
        matrices = [key.split(".")[0] for key in weights if self.source.tensors[key].ndim > 1]
        return [prefix for prefix in dict.fromkeys(matrices) if AVERAGED.search(prefix)]


def state_dicts(content: Mapping[object, object]) -> list[StateDict]:
    """Return the sets of weights in a checkpoint, the outermost first; of more than MOST_SETS one more."""
    return list(islice(_below(content, "", DEPTH), MOST_SETS + 1))


def unreadable_averages(content: Mapping[object, object]) -> list[str]:
    """Return places named like averages that hold no tensors by name, but for example a list of tensors."""
    return list(_unreadable(content, "", DEPTH))


def _unreadable(content: Mapping[object, object], place: str, depth: int) -> Iterator[str]:
    for key, value in content.items():
        where = f"{place}.{key}" if place else str(key)
        if not isinstance(value, Mapping | list | tuple) or not value or NOT_WEIGHTS.search(str(key)):
            continue
        below = value if isinstance(value, Mapping) else {}
        has_weights = bool(list(_below(below, where, DEPTH)))
        if AVERAGED.search(str(key)) and not has_weights and _has_tensors(value, DEPTH):
            yield where
        elif depth:
            yield from _unreadable(below, where, depth - 1)


def _has_tensors(value: object, depth: int) -> bool:
    """Whether a nest of lists and dictionaries holds a tensor that is more than a number."""
    if isinstance(value, Tensor):
        return value.ndim > 0
    inside = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    )
    return depth > 0 and any(_has_tensors(one, depth - 1) for one in inside)


def choose(
    found: Sequence[Fitting],
    unusable: Sequence[str],
    wanted: str | None,
    path: Path,
    say: Callable[[str], None],
) -> Fitting:
    """Return the set of weights to use; `say` is called with the choice if there are several.

    An average over training is preferred to the weights of the last step. wanted: "ema", "raw", or a place.
    unusable: averages that cannot be used. Raises CheckpointError if no set matches, or several do.
    """
    places = [f"{one.source}" for one in found]
    if wanted is not None:
        meant = [one for one in found if _is_meant(one.source, wanted)]
        if not meant:
            raise CheckpointError(
                f"{path} has no weights {wanted!r} that fit. It has {'; '.join(places)}. Say ema, raw, or one"
                " of these places."
            )
    else:
        meant = [one for one in found if one.source.averaged] or list(found)
        if unusable and not any(one.source.averaged for one in found):
            raise CheckpointError(
                f"{path} has averaged weights under {listed(list(unusable))}, which cannot be read as tensors"
                f' by name or do not fit. To take {places[0]} instead, say weights = "raw" (--weights raw).'
            )
    if len(meant) > 1:
        several = "; ".join(str(one.source) for one in meant)
        raise CheckpointError(
            f"{path} has several sets of weights that fit: {several}."
            f' Say which: weights = "{meant[0].source.place}" (--weights).'
        )
    (taken,) = meant
    if len(found) > 1 or taken.source.averaged:
        others = [place for one, place in zip(found, places, strict=True) if one is not taken]
        beside = f"; beside them are {'; '.join(others)} (choose with --weights)" if others else ""
        say(f"weights: {taken.source}{beside}")
    if taken.left_out:
        say(f"weights: left out {listed(list(taken.left_out))}, which the network does not have")
    return taken


def without_prefix(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield prefixes of the tensors' names, such as `module.`, and the tensors that have one, without it.

    The first is empty; others are those of DataParallel, torch.compile, Lightning or a wrapper, which may
    hold a network and its average beside each other.
    """
    yield "", dict(tensors)
    holding = Counter(prefix for key in tensors for prefix in _prefixes(key))
    for prefix in sorted(holding, key=lambda p: (-holding[p], len(p), p)):
        kept = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if MOST_BESIDE * len(kept) < len(tensors):
            return
        yield prefix, kept


def _prefixes(name: str) -> Iterator[str]:
    """Yield what may stand before a tensor's own name: its first parts, each up to its dot."""
    end = 0
    for _ in range(PREFIX_PARTS):
        end = name.find(".", end, PREFIX_CHARACTERS) + 1
        if not end:
            return
        yield name[:end]


def without_shared_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors without the prefix that all of their names share, up to a dot."""
    first, last = (
        min(tensors).split("."),
        max(tensors).split("."),
    )  # a prefix that these two share is shared by all
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(first[:-1], last[:-1], strict=False))
    prefix = "".join(f"{part}." for part, _ in shared)
    return {key.removeprefix(prefix): value for key, value in tensors.items()}


def _is_meant(one: StateDict, wanted: str) -> bool:
    return {"ema": one.averaged, "raw": not one.averaged}.get(wanted, False) or one.place == wanted


def _exchanged(content: Mapping[object, object]) -> frozenset[object]:
    """Return the keys of weights that lie where others have an average, or the other way round.

    MMEngine's EMAHook exchanges both when it saves; its average counts `steps`. Lightning's WeightAveraging
    puts the average in place of the weights, and those elsewhere.
    """
    average = content.get("ema_state_dict")
    if "state_dict" in content and isinstance(average, Mapping) and "steps" in average:
        return frozenset({"state_dict", "ema_state_dict"})
    return frozenset({"state_dict"}) if "current_model_state" in content else frozenset()


def _below(
    content: Mapping[object, object], place: str, depth: int, exchanged: bool = False
) -> Iterator[StateDict]:
    tensors = {
        key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)
    }
    if any(value.ndim for value in tensors.values()):
        weights = {key: value for key, value in tensors.items() if key not in COUNTERS}
        yield StateDict(place, weights, exchanged)
    elsewhere = _exchanged(content)
    for key, value in content.items():
        if isinstance(value, Mapping) and depth and isinstance(key, str) and not NOT_WEIGHTS.search(key):
            yield from _below(value, f"{place}.{key}" if place else key, depth - 1, key in elsewhere)
