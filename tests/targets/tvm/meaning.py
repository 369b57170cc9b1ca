"""What a Q/DQ graph means: onnxruntime's floats, node by node."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from targets.tvm import oracle
from targets.tvm.importer import import_graph
from tests.calibration.conftest import pictures


def in_floats(model: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    logits: NDArray[np.float32] = onnxruntime.InferenceSession(model, options).run(None, {"image": images})[0]
    return logits


def check_meaning(model: Path, size: tuple[int, int, int]) -> None:
    images = pictures(64, size)
    found, expected = oracle.run(import_graph(model), images), in_floats(model, images)
    assert np.abs(found - expected).mean() <= 0.01 * np.abs(expected).max()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999
