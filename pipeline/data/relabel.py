"""A data set with the classes of a model, which may be more than its own, in the model's order."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset
from pipeline.data.imagenet_classes import find_class, usual_names
from pipeline.data.images import Images
from pipeline.errors import DataError, listed


class Relabelled:
    """Pictures whose labels are mapped to other numbers."""

    def __init__(self, images: Images, numbers: NDArray[np.int64]) -> None:
        self._images = images
        self.labels: NDArray[np.int64] = numbers[images.labels]

    def name(self, index: int) -> str:
        """Return the picture's name."""
        return self._images.name(index)

    def digest(self, index: int) -> str:
        """Return the picture's digest."""
        return self._images.digest(index)

    def decode(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Return uint8 [H, W, C]. Raises ImageError."""
        return self._images.decode(index, channels)

    def encoded(self, index: int) -> bytes | None:
        """Return the picture's file, if it has one. Raises ImageError."""
        return self._images.encoded(index)


def relabelled(dataset: Dataset, classes: Sequence[str], source: str) -> Dataset:
    """Return `dataset` with the class names `classes` of the model `source`, which include its own.

    Raises DataError naming the classes that the model does not know.
    """
    place = {name: number for number, name in enumerate(classes)}
    own = dataset.classes
    if not place.keys() >= set(own) and all(find_class(name) for name in own):
        usual = usual_names(classes)  # ImageNet's may be called by WordNet ID in one of the two
        times = Counter(usual)
        place = {name: number for number, name in enumerate(usual) if times[name] == 1}
        own = usual_names(own)
    unknown = [name for name, called in zip(dataset.classes, own, strict=True) if called not in place]
    if unknown:
        raise DataError(
            f"{dataset.location} has classes that {source} does not name: {listed(unknown)}."
            " Its labels have to be the data set's class names, in the order of the model's outputs."
        )
    numbers = np.array([place[name] for name in own], np.int64)
    stored = {
        split: partial(lambda opener: Relabelled(opener(), numbers), opener)
        for split, opener in dataset.stored.items()
    }
    return Dataset(dataset.location, tuple(classes), stored)
