"""How close a quantised model's logits are to the float model's."""

from collections.abc import Iterable
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


def closeness(reference: NDArray[np.float32], found: NDArray[np.float32]) -> Closeness:
    """Compare logits [N, classes].

    The signal to quantisation noise ratio is 10 log10(sum reference^2 / sum (reference - found)^2), in dB.
    """
    a, b = reference.astype(np.float64), found.astype(np.float64)
    noise = ((a - b) ** 2).sum()
    sqnr = np.inf if noise == 0 else 10 * np.log10((a**2).sum() / noise)
    return Closeness(float((a.argmax(axis=1) == b.argmax(axis=1)).mean()), float(sqnr))


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
