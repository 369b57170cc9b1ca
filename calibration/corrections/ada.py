"""ada: rounding, biases and activation scales learned by gradient; see `calibration.learned`."""

from typing import TYPE_CHECKING

from calibration.correction import ImageBatches, Learning, Need, OnBatch

if TYPE_CHECKING:
    from calibration.onnx_graph import OnnxGraph
    from calibration.parameters import Parameters
    from calibration.placement import Placement


class LearnedRounding(Learning):
    """Trains the numbers together, without labels, to follow the float network."""

    word = "ada"
    summary = "learn rounding, biases and activation scales by gradient, in minutes"
    needs = frozenset({Need.IMAGES, Need.GRADIENTS})

    def improve(
        self,
        graph: "OnnxGraph",
        placement: "Placement",
        start: "Parameters",
        images: ImageBatches,
        on_batch: OnBatch,
    ) -> "Parameters":
        """See `learn`."""
        from calibration.learned import learn

        return learn(graph, placement, start, images, on_batch)

    def images_read(self, images: int) -> int:
        """Each epoch uses all images that are held in memory."""
        from calibration.learned import LEARN_EPOCHS, LEARN_FROM

        return LEARN_EPOCHS * min(images, LEARN_FROM)
