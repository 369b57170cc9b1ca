"""Runs an FP8 graph in onnxruntime, node by node as it is written.

With graph optimisation onnxruntime 1.32 gives wrong logits for FP8 Q/DQ (ResNet-20: off by up to 7.7; the
largest is 5.2), so all of it is off. That is slow: it is for accuracy alone.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class Fp8Reference:
    """An opened FP8 graph."""

    def __init__(self, model: Path | bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits [N, classes] for images [N, H, W, C] of raw pixels."""
        found: NDArray[np.float32] = self._session.run(["logits"], {"image": images})[0]
        return found
