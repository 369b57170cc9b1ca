"""Models in onnxruntime without its saturating kernels, so that a test means the same on every processor."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray


def run_exactly(
    model: Path | onnx.ModelProto, images: NDArray[np.uint8], output: str = "logits"
) -> NDArray[np.float32]:
    """Return a tensor of a float or Q/DQ model for uint8 images [N, H, W, C].

    On x86 without VNNI onnxruntime's integer kernels add pairs of products in int16, which saturates;
    `session.x64quantprecision` keeps them from it.
    """
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output], {"image": images})[0])
