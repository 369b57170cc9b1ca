"""Checks whether a data set has what training, calibration and evaluation need."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.data.open import open_dataset
from pipeline.data.split import Role, Split
from pipeline.errors import DataError, listed
from pipeline.progress import Progress
from pipeline.readiness import Finding
from targets.runtime.preprocess import ImageError

WITHOUT = {
    "train": (None, "builds need none; `edgec train` needs pictures in a folder train"),
    "calibration": (
        False,
        "add pictures in a folder train or calibration: a build finds its ranges with them",
    ),
    "evaluation": (False, "add pictures in a folder test: a build validates with them"),
}
"""What it means that a role has no pictures: whether a build can do without, and what to do."""


def data_findings(location: Path, progress: Progress) -> Iterator[Finding]:
    """Yield what is found of the classes, then of each role; every picture is read.

    Raises DataError if it cannot be read as a data set.
    """
    dataset = open_dataset(location)
    enough = len(dataset.classes) > 1
    advice = "" if enough else "put the pictures of each class into a folder named like it"
    yield Finding("classes", f"{len(dataset.classes)}: {listed(dataset.classes)}", enough, advice)
    for role in get_args(Role):
        yield _role(dataset, role, progress)


def _role(dataset: Dataset, role: Role, progress: Progress) -> Finding:
    what = f"pictures for {role}"
    if not dataset.has(role):
        return Finding(what, "none", *WITHOUT[role])
    try:
        split = dataset.split(role)
        damaged = _damaged(split, progress)
        split.refuse_if_too_many(damaged)
    except DataError as error:
        return Finding(what, "not usable", False, str(error))
    shown = [f"{name} ({reason})" for name, reason in damaged]
    left_out = f"left out, as damaged: {listed(shown)}" if damaged else ""
    twice = split.in_two_classes()
    advice = "; ".join(one for one in (left_out, twice) if one)
    return Finding(what, f"{len(split)}, {_per_class(split)}", not twice or None, advice)


def _damaged(split: Split, progress: Progress) -> list[tuple[str, str]]:
    """Return the name of each picture that cannot be decoded, and why."""
    found = []
    with progress.task(f"read pictures for {split.role}", len(split)) as advance:
        for index, sample in zip(split.indices.tolist(), split.samples, strict=True):
            try:
                split.images.decode(index, 3)
            except ImageError as error:
                found.append((sample.name, str(error)))
            advance(1)
    return found


def _per_class(split: Split) -> str:
    counts = np.bincount(split.labels, minlength=len(split.classes))
    least, most = int(counts.min()), int(counts.max())
    if least == most:
        return f"{least} a class"

    def having(count: int) -> str:
        return listed([split.classes[i] for i in np.flatnonzero(counts == count)], 2)

    return f"{least} ({having(least)}) to {most} ({having(most)}) a class"
