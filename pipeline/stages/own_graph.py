"""The float network as its user runs it: the file it came in, or what torch would have exported."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cache.digest import InputFile, value_digest
from pipeline.cache.product import Product
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.model import Model
from targets.peers.prepared_input import PreparedNetwork


@dataclass(frozen=True)
class OwnGraph:
    """`weights` is the file of a `ForeignModel`. `float_model` has model.onnx: pixels in, logits out.

    is_quantised: it came in 8 bits, and model.onnx is only derived from it.
    """

    model: Model
    weights: InputFile
    float_model: Product
    is_quantised: bool = False

    @property
    def digest(self) -> str:
        """Changes with all that decides the graph and its input."""
        return value_digest([self.model, self.weights, self.float_model.digests["model.onnx"]])

    def as_it_came(self, scratch: Path) -> tuple[PreparedNetwork, str]:
        """Return the network, and what it is in words; `scratch` is for the file of one that has none."""
        model = self.model
        if not isinstance(model, ForeignModel):
            return self.behind_pixels(
                scratch
            ), "the network as torch exports it: float32 NCHW, normalised before"
        std, mean = np.array(model.std), np.array(model.mean)
        scale, offset = 1 / (255 * std), -mean / std
        network = PreparedNetwork(self._file(model, scratch), model.layout, tuple(scale), tuple(offset))
        return network, f"{model.path.name} as it came"

    def behind_pixels(self, scratch: Path) -> PreparedNetwork:
        """Write model.onnx without the normalisation in front of it, and return it. Raises ModelError."""
        from targets.peers.behind_pixels import write_behind_pixels

        return write_behind_pixels(self.float_model.file("model.onnx"), scratch / "behind_pixels.onnx")

    def _file(self, model: ForeignModel, scratch: Path) -> Path:
        """Return the file as it came, or, where onnxruntime does not load it, the copy that it loads."""
        import onnx

        from pipeline.models.foreign.original import loadable

        changed = loadable(model, onnx.load(self.weights.path, load_external_data=False))
        if changed is None:
            return self.weights.path
        (scratch / model.path.name).write_bytes(changed)
        return scratch / model.path.name
