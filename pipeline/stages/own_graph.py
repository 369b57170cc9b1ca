"""The float network as its user runs it: the user's ONNX file, or what torch would export."""

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.cache.digest import InputFile, value_digest
from pipeline.models.model import Model
from pipeline.stages.artifacts import FloatModel
from targets.peers.prepared_input import PreparedNetwork


@dataclass(frozen=True)
class OwnGraph:
    """A model with its `weights`, the user's ONNX file or a checkpoint, and the float model made of them.

    is_quantised: the user's model is in 8 bits, and the float model is only derived from it.
    """

    model: Model
    weights: InputFile
    float_model: FloatModel
    is_quantised: bool = False

    @property
    def digest(self) -> str:
        """The SHA-256 over everything that decides the graph and its input."""
        return value_digest([self.model, self.weights, self.float_model.file_digest])

    def as_given(self, scratch: Path) -> tuple[PreparedNetwork, str]:
        """Return the network and its description. A network without a file is written to `scratch`."""
        given = self.model.network_as_given(self.weights.path)
        if given is None:
            exported = self.behind_pixels(scratch)
            return exported, "the network as torch exports it: float32 NCHW, normalised before"
        changed = self._changed(given.layout)
        if changed is None:
            return given, f"{given.file.name}, unchanged"
        (scratch / given.file.name).write_bytes(changed)
        network = replace(given, file=scratch / given.file.name)
        return network, f"{given.file.name}, changed so that onnxruntime accepts it"

    def behind_pixels(self, scratch: Path) -> PreparedNetwork:
        """Write model.onnx without the normalisation in front of it, and return it. Raises ModelError."""
        from targets.peers.behind_pixels import write_behind_pixels

        return write_behind_pixels(self.float_model.path, scratch / "behind_pixels.onnx")

    def _changed(self, layout: str) -> bytes | None:
        """Return the user's ONNX file as onnxruntime loads it; None if it loads the file itself."""
        import onnx

        from pipeline.models.foreign.original import loadable

        file = onnx.load(self.weights.path, load_external_data=False)
        return loadable(self.weights.path, layout, self.model.input_shape, file)
