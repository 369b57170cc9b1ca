"""Images of a data set with a network's preprocessing: the input of most stages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.data.split import Batch, Skip, Split, pass_over
from targets.runtime.preprocess import Preprocessing

BATCH = 16
HELD_OUT_EVERY = 4


@dataclass(frozen=True)
class ModelImages:
    """A split, and the preprocessing that turns its images into a network's input."""

    split: Split
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.split)

    def at(self, positions: Sequence[int]) -> "ModelImages":
        """Return the images at these positions, in this order."""
        return replace(self, split=self.split.subset(positions))

    def hold_out(self) -> tuple["ModelImages", "ModelImages"]:
        """Return the images to quantise with, and those to judge the result on: one in HELD_OUT_EVERY."""
        every = range(len(self))
        return self.at([i for i in every if i % HELD_OUT_EVERY]), self.at(every[::HELD_OUT_EVERY])

    def stratified(self, count: int) -> "ModelImages":
        """Return `count` of the images, drawn evenly from all classes. Raises DataError for less than one."""
        return replace(self, split=self.split.stratified(count, seed=0))

    def labels(self) -> NDArray[np.int64]:
        """Return the class of each image that `batches` gives, int64 [N]: damaged ones are left out."""
        return np.concatenate([batch.labels for batch in self.split.batches(self.preprocessing, BATCH)])

    def batches(self) -> Iterator[NDArray[np.uint8]]:
        """Yield uint8 [n, H, W, C] from the first image on. Raises DataError if too many are damaged."""
        return (batch.images for batch in self.split.batches(self.preprocessing, BATCH))

    def readable(self, batch_size: int, skip: Skip = pass_over) -> Iterator[Batch]:
        """Yield batches of the images that can be read; `skip` is told of the others."""
        return self.split.readable(self.preprocessing, batch_size, skip)
