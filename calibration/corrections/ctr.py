"""ctr: activations centred on zero; see `calibration.centre`."""

from typing import TYPE_CHECKING, ClassVar

from calibration.correction import ImageBatches, Need, OnBatch, Preparation
from calibration.scheme import RecipeBase, Scheme

if TYPE_CHECKING:
    import onnx

    from calibration.observers import Range
    from calibration.onnx_graph import OnnxGraph


class Centring(Preparation):
    """Shifts activations whose readers take the shift back, so that the symmetric grid is all used."""

    word = "ctr"
    summary = "shift activations whose readers can take it back, so that all 8 bits of them are used"
    needs = frozenset({Need.IMAGES})
    pointless: ClassVar = {Scheme.ASYM: "has a zero point, which uses all 8 bits already"}

    def rewrite(
        self, graph: "OnnxGraph", images: ImageBatches, recipe: RecipeBase, on_batch: OnBatch
    ) -> "onnx.ModelProto":
        """See `centred`."""
        from calibration.centre import centred

        return centred(graph, images, recipe, on_batch)

    def known_ranges(self, graph: "OnnxGraph") -> "dict[str, Range]":
        """See `centred_ranges`."""
        from calibration.centre import centred_ranges

        return centred_ranges(graph)
