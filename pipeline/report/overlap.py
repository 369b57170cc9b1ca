"""Overlap of the classes of pixels: confusion counts, and intersection over union from them."""

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.int64]
Confusion = NDArray[np.int64]


def at_size(mask: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the pixels of a mask [H, W] that hold the centres of a grid of another size."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, mask.shape, strict=True)
    )
    found: NDArray[np.uint8] = mask[rows[:, None], columns]
    return found


def confusion(reference: Classes, said: Classes, classes: int) -> Confusion:
    """Count each class that is said for each of the reference, [reference, said]."""
    return np.bincount(reference * classes + said, minlength=classes**2).reshape(classes, classes)


def image_iou(counts: Confusion) -> float:
    """Return the mean IoU of the classes that the reference has in an image; NaN if it has none."""
    there = counts.sum(1) > 0
    return float(class_iou(counts)[there].mean()) if there.any() else float("nan")


def class_iou(counts: Confusion) -> NDArray[np.float64]:
    """Return intersection over union of each class [K] from counts [reference, said]; NaN without any."""
    both = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - both
    iou: NDArray[np.float64] = np.divide(both, union, out=np.full(len(both), np.nan), where=union > 0)
    return iou
