"""How close a quantised model's logits are to the float model's."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import ImagesError
from calibration.onnx_graph import IMAGE
from calibration.onnx_session import open_model


@dataclass(frozen=True)
class Closeness:
    """`agreement`: the share of images with the same top-1 class, in [0, 1]; `sqnr_db`: see `closeness`."""

    agreement: float
    sqnr_db: float


@dataclass(frozen=True)
class ImageDistances:
    """How far logits are apart, an entry an image.

    signal: the sum of the squares of the reference; noise: that of the differences; agrees: whether both have
    the same top-1 class.
    """

    signal: tuple[float, ...]
    noise: tuple[float, ...]
    agrees: tuple[bool, ...]

    @classmethod
    def between(cls, reference: NDArray[np.float32], found: NDArray[np.float32]) -> "ImageDistances":
        """Compare logits [N, classes]."""
        a, b = reference.astype(np.float64), found.astype(np.float64)
        agrees = a.argmax(axis=1) == b.argmax(axis=1)
        signal, noise = ((x**2).sum(axis=1).tolist() for x in (a, a - b))
        return cls(tuple(signal), tuple(noise), tuple(agrees.tolist()))


def closeness_of(parts: Sequence[ImageDistances]) -> Closeness:
    """Return how close the logits of all images are; each of `parts` has some of them.

    The signal to quantisation noise ratio is 10 log10(sum reference^2 / sum (reference - found)^2), in dB.
    Sums are exact before they are rounded, so no bit depends on the division or the order.
    """
    signal = math.fsum(value for part in parts for value in part.signal)
    noise = math.fsum(value for part in parts for value in part.noise)
    agrees = [one for part in parts for one in part.agrees]
    sqnr = math.inf if noise == 0 else 10 * math.log10(signal / noise) if signal > 0 else -math.inf
    return Closeness(sum(agrees) / len(agrees), sqnr)


def closeness(reference: NDArray[np.float32], found: NDArray[np.float32]) -> Closeness:
    """Compare logits [N, classes]."""
    return closeness_of([ImageDistances.between(reference, found)])


def logits(
    model: Path | onnx.ModelProto, batches: Iterable[NDArray[np.uint8]], as_written: bool = False
) -> NDArray[np.float32]:
    """float32 [N, classes] of a float or Q/DQ model, from onnxruntime with exact settings (see `exact`).

    `as_written` leaves the graph as it is: else onnxruntime may fuse integer kernels and round the biases of
    some convolutions to int32. `batches` are uint8 [n, H, W, C]. Raises ImagesError if there are none.
    """
    source = model if isinstance(model, Path) else model.SerializeToString()
    session = open_model(source, as_written)
    size = session.get_inputs()[0].shape[0]
    found = []
    for batch in batches:
        step = size if isinstance(size, int) else max(1, len(batch))
        for start in range(0, len(batch), step):
            part = batch[start : start + step]
            filled = np.concatenate([part, np.repeat(part[-1:], step - len(part), axis=0)])
            fed = filled if isinstance(size, int) else part
            found.append(np.asarray(session.run(None, {IMAGE: fed})[0])[: len(part)])
    if not found:
        raise ImagesError("There are no images to compare the models on.")
    return np.concatenate(found)
