"""The picture to explain: a file, or an evaluation image by the name that the report shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset
from pipeline.data.picture_files import read_picture
from pipeline.errors import UsageError
from targets.runtime.preprocess import Preprocessing

Array = NDArray[Any]


@dataclass(frozen=True)
class AskedPicture:
    """A picture in the network's size, uint8 [H, W, C], and what is known about it."""

    name: str
    pixels: Array
    label: int | None
    notes: tuple[str, ...]


def asked_picture(given: Path, preprocessing: Preprocessing, dataset: Dataset | None) -> AskedPicture:
    """Read a picture from its file, or from the evaluation images by its name.

    Raises DataError for a file that cannot be read, and UsageError where there is no such picture.
    """
    if given.is_dir():
        raise UsageError(f"{given} is a folder. Give one picture; `edgec diff` takes many.")
    if given.exists():
        return _fitted(str(given), read_picture(given, preprocessing.channels), preprocessing, None)
    if dataset is None:
        raise UsageError(f"There is no picture {given}. Give its file, or --data and an image's name in it.")
    split = dataset.split("evaluation")
    for index, label in zip(split.indices.tolist(), split.labels.tolist(), strict=True):
        if split.images.name(index) == str(given):
            picture = split.images.decode(index, preprocessing.channels)
            return _fitted(str(given), picture, preprocessing, label)
    example = split.images.name(int(split.indices[0]))
    raise UsageError(
        f"There is no picture {given}, and no evaluation image of {dataset.location} has that name. Give a"
        f" file, or a name such as {example}; the report has those that only FP32 gets right."
    )


def _fitted(name: str, picture: Array, preprocessing: Preprocessing, label: int | None) -> AskedPicture:
    fitted = preprocessing(picture)
    notes = []
    if picture.shape[:2] != fitted.shape[:2]:
        before, after = (f"{one.shape[1]} x {one.shape[0]}" for one in (picture, fitted))
        notes.append(
            f"the picture is {before}; it is fitted to {after} as in the build ({preprocessing.fit})"
        )
    return AskedPicture(name, np.asarray(fitted, np.uint8), label, tuple(notes))
