"""A foreign model as it came, in onnxruntime, fed as its description says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import ForeignModel


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Raise CheckpointError naming the user's file at `path` where onnxruntime refuses a model."""
    try:
        yield
    except Exception as error:  # onnxruntime's exceptions have no public base class
        if type(error).__module__.startswith("onnxruntime"):
            raise CheckpointError(f"onnxruntime refuses {path}: {error}") from error
        raise


class Original:
    """Runs one image at a time: some files take no other number."""

    def __init__(self, model: ForeignModel) -> None:
        """Load the file. Raises CheckpointError if onnxruntime refuses it."""
        import onnx
        import onnxruntime

        self._model = model
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        with refusals(model.path):
            self._session = onnxruntime.InferenceSession(str(model.path), options, providers=providers)
        graph = onnx.load(model.path).graph
        last = next((node for node in graph.node if graph.output[0].name in node.output), None)
        self.ends_in: str | None = None if last is None else last.op_type

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the first output, without a batch dimension, for one preprocessed image uint8 [H, W, C]."""
        model, (source,) = self._model, self._session.get_inputs()
        fed: NDArray[np.generic] = image[None]
        if source.type == "tensor(float)":
            mean, std = (np.array(values, np.float32) for values in (model.mean, model.std))
            fed = ((image[None] / np.float32(255) - mean) / std).astype(np.float32)
        if model.layout == "NCHW":
            fed = np.ascontiguousarray(fed.transpose(0, 3, 1, 2))
        return np.asarray(self._session.run(None, {source.name: fed})[0][0], np.float32)

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return what `infer` says as shares of 1, [classes]; of a value a pixel, the mean over pixels."""
        found = self.infer(image).astype(np.float64)
        found = found.reshape(len(found), -1)
        if self.ends_in != "Softmax":
            found = np.exp(found - found.max(0))
            found /= found.sum(0)
        return np.asarray(found.mean(1))
