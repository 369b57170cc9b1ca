"""The normalisation that a file of weights says it was trained with, compared with the one that is used."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from pipeline.errors import CheckpointError

MEANS = ("mean", "img_mean", "image_mean", "norm_mean", "pixel_mean", "normalize_mean", "data_mean")
"""Keys under which trainers store the mean. The standard deviation has the same keys with `std`."""
DEPTH = 4
OF_PIXELS = 2.0
"""A mean above this is that of pixels from 0 to 255."""
TOLERANCE = 0.01
Normalisation = tuple[tuple[float, ...], tuple[float, ...]]


def normalisation_in_checkpoint(content: Mapping[object, object]) -> Normalisation | None:
    """Return mean and std, of pixels divided by 255, that a checkpoint keeps among its settings, if any.

    None too if it keeps several that differ.
    """
    found = set(_below(content, DEPTH))
    return found.pop() if len(found) == 1 else None


def check_normalisation(
    own: Normalisation | None,
    used: Normalisation,
    path: Path,
    said: bool,
    say: Callable[[str], None],
) -> None:
    """Compare a checkpoint's normalisation with the one that is `used`. `said`: the user has set it.

    Raises CheckpointError if they differ and the user has set none.
    """
    if own is None or _same(own, used):
        return
    lines = f"mean = {list(own[0])} and std = {list(own[1])}"
    if said:
        say(f"normalisation: {path.name} says {lines}; what the configuration says is used")
        return
    raise CheckpointError(
        f"{path} says that it was trained with {lines}, of pixels divided by 255; this network takes"
        f" {[round(one, 4) for one in used[0]]} and {[round(one, 4) for one in used[1]]}. Say mean and"
        " std as the file has them under [export] in the configuration; or if that is not what it was"
        " trained with, save its weights alone."
    )


def _same(one: Normalisation, other: Normalisation) -> bool:
    return all(
        len(ours) in (1, len(theirs)) or len(theirs) == 1 for ours, theirs in zip(one, other, strict=True)
    ) and all(
        abs(a - b) < TOLERANCE
        for ours, theirs in zip(one, other, strict=True)
        for a, b in zip(_repeated(ours, theirs), _repeated(theirs, ours), strict=True)
    )


def _repeated(values: tuple[float, ...], beside: tuple[float, ...]) -> tuple[float, ...]:
    return values * len(beside) if len(values) == 1 else values


def _below(part: Mapping[object, object], depth: int) -> Iterator[Normalisation]:
    for name in MEANS:
        mean, std = (_numbers(part.get(key)) for key in (name, name.replace("mean", "std")))
        if mean and std and all(value > 0 for value in std):
            by = 255.0 if max(mean) > OF_PIXELS else 1.0
            yield tuple(value / by for value in mean), tuple(value / by for value in std)
    for value in part.values() if depth else ():
        inside = vars(value) if isinstance(value, argparse.Namespace) else value
        if isinstance(inside, Mapping) and not any(isinstance(one, Tensor) for one in inside.values()):
            yield from _below(inside, depth - 1)


def _numbers(given: object) -> tuple[float, ...] | None:
    """Return one number a channel, or one for all."""
    if not isinstance(given, Sequence) or len(given) not in (1, 3):
        return None
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in given):
        return None
    return tuple(float(one) for one in given)
