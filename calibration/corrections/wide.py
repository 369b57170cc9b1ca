"""wide: 16 bits for those activations that need them most; see `wide_activations`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from calibration.correction import ImageBatches, Need, OnBatch, WideChoice, WidthChoice
from calibration.scheme import RecipeBase

if TYPE_CHECKING:
    from calibration.observers import Range
    from calibration.onnx_graph import OnnxGraph
    from calibration.placement import Placement


class WideActivations(WidthChoice):
    """Gives 16 bits to the tensors with the most benefit for their cost."""

    word = "wide"
    summary = (
        "16 bits for the activations that need them most, for up to a quarter more time (half on ARM): "
        "integers on CPUs, FP16 under TensorRT"
    )
    needs = frozenset({Need.GRADIENTS})
    budget: ClassVar[float] = 0.25
    """The share of a network's own time that it may add."""
    agreement: ClassVar[float] = 0.998
    """The expected share of calibration images that keep their class, which is enough.

    Of unseen images up to five times as many change theirs: margins are smaller, and weights have noise too.
    """

    def choose(
        self,
        graph: "OnnxGraph",
        placement: "Placement",
        recipe: RecipeBase,
        ranges: "Mapping[str, Range]",
        images: ImageBatches,
        on_batch: OnBatch,
    ) -> WideChoice:
        """See `choose_wide`."""
        from calibration.wide_activations import Enough, choose_wide

        enough = Enough(self.budget, self.agreement)
        return choose_wide(graph, placement, recipe.scheme, ranges, images, on_batch, enough)

    def images_read(self, images: int) -> int:
        """The first ones are enough."""
        from calibration.wide_activations import IMAGES

        return min(images, IMAGES)
