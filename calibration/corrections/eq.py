"""eq: channels rescaled for 8 bits; see `calibration.equalize`."""

from typing import TYPE_CHECKING

from calibration.correction import ImageBatches, Need, OnBatch, Preparation
from calibration.scheme import RecipeBase

if TYPE_CHECKING:
    import onnx

    from calibration.onnx_graph import OnnxGraph


class Equalization(Preparation):
    """Rescales channels, along residual streams too, so that the noise that reaches the logits is least."""

    word = "eq"
    summary = "rescale channels so that the noise that reaches the logits is least"
    needs = frozenset({Need.IMAGES, Need.GRADIENTS})

    def rewrite(
        self, graph: "OnnxGraph", images: ImageBatches, recipe: RecipeBase, on_batch: OnBatch
    ) -> "onnx.ModelProto":
        """See `equalized`."""
        from calibration.equalize import equalized

        return equalized(graph, images, recipe, on_batch)
