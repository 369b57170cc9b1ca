"""Runs a foreign model's own file in onnxruntime, with the input that its description defines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.models.foreign.chosen_output import is_computed, keep_output, output_names
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.foreign.ending import ending, turn_to_the_end
from pipeline.models.foreign.normal_form.conventions import drop_unread_inputs
from pipeline.models.foreign.normal_form.explicit_padding import (
    pads_unlike_onnxruntime,
    write_padding_down,
)
from pipeline.models.foreign.normal_form.float_precision import is_foreign_to_cpus, is_half, write_in_float32
from pipeline.models.foreign.normal_form.known_shapes import fix_the_size
from pipeline.models.foreign.normal_form.unique_names import name_every_node
from targets.peers.prepared_input import ELEMENTS, as_element
from targets.runtime.exact.session import SessionSettings, is_from_onnxruntime, is_quantised


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Raise CheckpointError naming the user's file at `path` where onnxruntime refuses a model."""
    try:
        yield
    except Exception as error:
        if is_from_onnxruntime(error):
            raise CheckpointError(f"onnxruntime refuses {path}: {error}") from error
        raise


class Original:
    """Runs one image at a time; a file with a fixed batch size gets copies of the image."""

    def __init__(self, model: ForeignModel, settings: SessionSettings | None = None) -> None:
        """Load the file; settings: of `open_session`. Raises CheckpointError if onnxruntime refuses it."""
        from targets.runtime.exact.session import open_session

        self._model = model
        file = onnx.load(model.path, load_external_data=False)
        with refusals(model.path):
            whole = loadable(model.path, model.layout, model.input_shape, file, model.output)
            self._source = whole or str(model.path)
            self._session = open_session(self._source, settings=settings)
        self._output = model.output or file.graph.output[0].name
        if self._output not in output_names(file):
            keep_output(file, self._output)
        self.ending = ending(file, self._output)
        self._classes_last = turn_to_the_end(file, self._output) is not None
        self.is_half = is_half(file)
        """Whether it computes in half precision, so that its outputs are rounded."""

    @property
    def images(self) -> int:
        """Return the number of images that the file takes at once; 1 if it takes any number."""
        first = self._session.get_inputs()[0].shape[0]
        return first if isinstance(first, int) else 1

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the first output, without a batch dimension, for one preprocessed image uint8 [H, W, C].

        Classes of pixels come first, [classes, height, width], where the network has them last, too.
        Raises CheckpointError if onnxruntime refuses to run it.
        """
        model, (source, *_) = self._model, self._session.get_inputs()
        element = ELEMENTS[source.type]
        floats = np.issubdtype(element, np.floating)
        fed: NDArray[np.generic] = model.normalised(image) if floats else model.fed(image)
        fed = as_element(fed, element)
        if isinstance(source.shape[0], int) and source.shape[0] > 1:
            fed = np.repeat(fed, source.shape[0], axis=0)
        with refusals(model.path):
            outputs = self._run(source.name, fed)
        is_vector = outputs.ndim == 1 and len(fed) == 1  # of the only image, whose dimension was left out
        found = np.asarray(outputs if is_vector else outputs[0], np.float32)
        return found.transpose(2, 0, 1) if self._classes_last else found

    def _run(self, name: str, fed: NDArray[np.generic]) -> NDArray[np.generic]:
        """Run it, without optimisation if onnxruntime's optimised graph cannot run."""
        from targets.runtime.exact.session import AS_WRITTEN, open_session

        try:
            return np.asarray(self._session.run([self._output], {name: fed})[0])
        except Exception as error:
            if not is_from_onnxruntime(error) or not is_quantised(self._source):
                raise
            self._session = open_session(self._source, settings=AS_WRITTEN)
            return np.asarray(self._session.run([self._output], {name: fed})[0])

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return probabilities [classes] from `infer`; for segmentation, the mean over pixels."""
        found = self.infer(image)
        shares = self.ending.probabilities(found.reshape(len(found), -1))
        return np.asarray(shares.mean(1))


def loadable(
    path: Path,
    layout: str,
    size: tuple[int, int, int],
    file: onnx.ModelProto,
    output: str | None = None,
) -> bytes | None:
    """Return the network at `path` in a form that onnxruntime accepts; None if it accepts the file itself.

    `file` is the model without its external data; layout and size are those of its images. Nodes with the
    same name are renamed, padding that onnxruntime does not compute is written out, bfloat16 and
    float64 become float32, inputs that nothing reads go, and `output` may be a tensor inside the network.
    So does float16 around quantised layers: half a step more or less decides there, which hides faults.
    """
    names = [node.name for node in file.graph.node if node.name]
    pads = pads_unlike_onnxruntime(file)
    foreign = is_foreign_to_cpus(file) or (is_half(file) and is_quantised(path))
    inside = output is not None and output not in output_names(file) and is_computed(file, output)
    unread = onnx.ModelProto()
    unread.CopyFrom(file)
    drop_unread_inputs(unread)
    fewer = len(unread.graph.input) < len(file.graph.input)
    if len(set(names)) == len(names) and not (pads or foreign or inside or fewer):
        return None
    changed = onnx.load(path)
    name_every_node(changed)
    drop_unread_inputs(changed)
    if foreign:
        write_in_float32(changed)
    if inside and output is not None:
        keep_output(changed, output)
    if pads:
        fix_the_size(changed, layout, size)
        write_padding_down(changed)
    return bytes(changed.SerializeToString())
