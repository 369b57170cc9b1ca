"""A foreign model as it came, in onnxruntime, fed as its description says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.foreign.ending import ending
from pipeline.models.foreign.normal_form.explicit_padding import (
    pads_unlike_onnxruntime,
    write_padding_down,
)
from pipeline.models.foreign.normal_form.half_precision import is_half
from pipeline.models.foreign.normal_form.known_shapes import fix_the_size
from pipeline.models.foreign.normal_form.unique_names import name_every_node
from targets.peers.prepared_input import ELEMENTS


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
    """Runs one image at a time; a file that takes a fixed number gets that many copies of it."""

    def __init__(self, model: ForeignModel) -> None:
        """Load the file. Raises CheckpointError if onnxruntime refuses it."""
        from targets.runtime.exact.session import open_session

        self._model = model
        file = onnx.load(model.path, load_external_data=False)
        with refusals(model.path):
            self._session = open_session(
                loadable(model.path, model.layout, model.input_shape, file) or str(model.path)
            )
        self._output = model.output or file.graph.output[0].name
        self.ending = ending(file, self._output)
        self.is_half = is_half(file)
        """Whether it computes in half precision, so that its outputs are rounded."""

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the first output, without a batch dimension, for one preprocessed image uint8 [H, W, C].

        Raises CheckpointError if onnxruntime refuses to run it.
        """
        model, (source, *_) = self._model, self._session.get_inputs()
        pixels = source.type == "tensor(uint8)"
        fed: NDArray[np.generic] = model.fed(image) if pixels else model.normalised(image)
        fed = fed.astype(ELEMENTS[source.type], copy=False)
        if isinstance(source.shape[0], int) and source.shape[0] > 1:
            fed = np.repeat(fed, source.shape[0], axis=0)
        with refusals(model.path):
            return np.asarray(self._session.run([self._output], {source.name: fed})[0][0], np.float32)

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return what `infer` says as shares of 1, [classes]; of a value a pixel, the mean over pixels."""
        found = self.infer(image)
        shares = self.ending.probabilities(found.reshape(len(found), -1))
        return np.asarray(shares.mean(1))


def loadable(path: Path, layout: str, size: tuple[int, int, int], file: onnx.ModelProto) -> bytes | None:
    """Return the network at `path` in a form that onnxruntime accepts; None if it accepts the file itself.

    `file` is the model without its external data; layout and size are those of its images. Nodes with the
    same name are renamed, and padding that onnxruntime does not compute is written out.
    """
    names = [node.name for node in file.graph.node if node.name]
    pads = pads_unlike_onnxruntime(file)
    if len(set(names)) == len(names) and not pads:
        return None
    changed = onnx.load(path)
    name_every_node(changed)
    if pads:
        fix_the_size(changed, layout, size)
        write_padding_down(changed)
    return bytes(changed.SerializeToString())
