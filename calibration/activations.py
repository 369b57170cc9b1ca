"""The values of a model's intermediate tensors, in parts that fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import ImagesError, ModelError
from calibration.exact.session import is_from_onnxruntime
from calibration.onnx_graph import IMAGE, OnnxGraph
from calibration.onnx_session import open_model

CHUNK_BYTES = 64 << 20
"""The most bytes of observed values held at once, for any batch size of the caller."""


class InstrumentedModel:
    """A model in onnxruntime that also returns chosen intermediate tensors; exact if it is quantised."""

    def __init__(self, graph: OnnxGraph, tensors: tuple[str, ...]) -> None:
        self.tensors = tensors
        self.shape = [d.dim_value or None for d in graph.image().type.tensor_type.shape.dim]
        with NamedTemporaryFile(
            suffix=".onnx"
        ) as file:  # loaded from the file, so that the model is not in memory twice
            _write_with_outputs(graph, tensors, Path(file.name))
            try:
                self._session = open_model(file.name)
            except Exception as error:
                if not is_from_onnxruntime(error):
                    raise
                raise ModelError(f"onnxruntime cannot load the model: {error}") from error
        self._images_a_run = self.shape[0] or 1

    def run(self, images: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yield the tensors' values for successive parts of `images`, each small enough for CHUNK_BYTES."""
        self._check(images)
        if not self.tensors:  # onnxruntime would return all outputs
            yield {}
            return
        start = 0
        while start < len(images):
            step = self._images_a_run
            part = images[start : start + step]
            missing = step - len(part) if self.shape[0] else 0
            fed = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            values = self._session.run(list(self.tensors), {IMAGE: fed})
            yield {name: value[: len(part)] for name, value in zip(self.tensors, values, strict=True)}
            start += len(part)
            if not self.shape[0]:
                bytes_an_image = max(1, sum(value.nbytes for value in values) // len(part))
                self._images_a_run = int(np.clip(CHUNK_BYTES // bytes_an_image, 1, 256))

    def _check(self, images: NDArray[np.uint8]) -> None:
        wanted = "x".join("N" if i == 0 else str(d or "any") for i, d in enumerate(self.shape))
        fits = images.ndim == 4 and all(
            d in (None, have) for d, have in zip(self.shape[1:], images.shape[1:], strict=True)
        )
        if not fits or images.dtype != np.uint8:
            have = "x".join(map(str, images.shape))
            raise ImagesError(
                f"Calibration images are {images.dtype} {have}; the model takes uint8 {wanted} (NHWC)."
            )


def _write_with_outputs(graph: OnnxGraph, tensors: tuple[str, ...], path: Path) -> None:
    """Write the model with `tensors` among its outputs, without a copy of its weights."""
    outputs = graph.model.graph.output
    before, present = len(outputs), {output.name for output in outputs}
    kind = onnx.TensorProto.FLOAT
    outputs.extend(
        onnx.helper.make_tensor_value_info(name, kind, None) for name in tensors if name not in present
    )
    try:
        path.write_bytes(graph.model.SerializeToString())
    finally:
        del outputs[before:]
