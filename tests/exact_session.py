"""Models in onnxruntime without its saturating kernels, so that a test means the same on every processor."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from targets.runtime.exact.session import open_session


def run_exactly(
    model: Path | onnx.ModelProto, images: NDArray[np.uint8], output: str = "logits"
) -> NDArray[np.float32]:
    """Return a tensor of a float or Q/DQ model for uint8 images [N, H, W, C].

    On x86 without VNNI onnxruntime's fastest integer kernels add pairs of products in int16, which saturates.
    """
    source = model if isinstance(model, Path) else model.SerializeToString()
    session = open_session(source)
    return np.asarray(session.run([output], {"image": images})[0])
