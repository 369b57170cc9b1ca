"""sens: ranges chosen by the logits' sensitivity; see `calibration.logit_ranges`."""

from typing import TYPE_CHECKING

from calibration.correction import ImageBatches, Need, OnBatch, RangeChoice
from calibration.scheme import RecipeBase

if TYPE_CHECKING:
    from calibration.observers import Range
    from calibration.onnx_graph import OnnxGraph


class SensitiveRanges(RangeChoice):
    """Weighs the error of each value by its effect on the logits."""

    word = "sens"
    summary = "ranges of least error at the logits, in place of the observer's"
    needs = frozenset({Need.GRADIENTS})

    def choose(
        self,
        graph: "OnnxGraph",
        tensors: tuple[str, ...],
        recipe: RecipeBase,
        images: ImageBatches,
        on_batch: OnBatch,
    ) -> "dict[str, Range]":
        """See `ranges_by_logits`."""
        from calibration.logit_ranges import ranges_by_logits

        return ranges_by_logits(graph, tensors, recipe.scheme, images, on_batch)

    def images_read(self, images: int) -> int:
        """The first ones are enough."""
        from calibration.logit_ranges import IMAGES

        return min(images, IMAGES)
