"""What a correction is: its word in recipes, when it runs, and what it has to see.

When it runs is the class it derives from. In the order in which they run:

    Preparation       rewrites the float model, which goes on to compute the same
    PixelReading      says how the first convolution reads the image
    WeightScaling     chooses the scales of a layer's weights
    WeightRounding    chooses the integers of a layer's weights
    BiasCorrection    chooses a layer's bias, once its weights are rounded
    Learning          improves all numbers of the network together

A correction is one file in `corrections/` and one line in its registry. The file stays light: what it
computes with is imported where it runs, since whoever decodes a recipe's name reads all of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.scheme import RecipeBase, Scheme

if TYPE_CHECKING:
    import onnx

    from calibration.grid import QuantizedWeight
    from calibration.moments import InputMoments
    from calibration.observers import Range
    from calibration.onnx_graph import OnnxGraph
    from calibration.parameters import Parameters
    from calibration.placement import Placement
    from calibration.weight_layers import LayerWeights

ImageBatches = Iterable[NDArray[np.uint8]]
"""Calibration images: batches of uint8 [n, H, W, C]."""
OnBatch = Callable[[int], None]
"""Is called with the number of images after each batch."""


class Need(StrEnum):
    """What a correction has to see besides the float model and the ranges."""

    IMAGES = "images"
    MOMENTS = "moments"
    """The means of what each layer reads, before and after quantisation."""
    COVARIANCES = "covariances"
    """How the inputs of each layer vary together, besides the means."""
    GRADIENTS = "gradients"
    """Derivatives: every operator of the network has to be one that `replay` knows."""


class Correction(ABC):
    """What is done about the error of plain rounding."""

    word: ClassVar[str]
    """What recipes call it."""
    summary: ClassVar[str]
    """One line for lists and messages."""
    runs: ClassVar[str]
    """When, in a word or two; its kind says so."""
    needs: ClassVar[frozenset[Need]] = frozenset()
    pointless: ClassVar[Mapping[Scheme, str]] = {}
    """The schemes under which it has nothing to do, each with the reason."""
    conflicts: ClassVar[Mapping[str, str]] = {}
    """Other corrections, by word, that it cannot be combined with, each with the reason."""


class Preparation(Correction):
    """Rewrites the float model before ranges are collected, in a pass over the images of its own."""

    runs = "before ranges"

    @abstractmethod
    def rewrite(
        self, graph: "OnnxGraph", images: ImageBatches, recipe: RecipeBase, on_batch: OnBatch
    ) -> "onnx.ModelProto":
        """Return a model that computes the same logits. Raises ModelError and ImagesError."""

    def known_ranges(self, graph: "OnnxGraph") -> "dict[str, Range]":  # noqa: ARG002 -- for those that have some
        """Return the ranges that tensors of a model so rewritten have, whatever is observed."""
        return {}


class PixelReading(Correction):
    """Makes the first convolution read the pixels themselves, without loss."""

    runs = "placement"


class _OfALayer(Correction):
    """Looks at one layer and at what it reads, so at moments at least."""

    needs = frozenset({Need.IMAGES, Need.MOMENTS})


class WeightScaling(_OfALayer):
    """Chooses the scales of a layer's weights in place of max / 127."""

    runs = "weight scales"

    @abstractmethod
    def scales(self, layer: "LayerWeights", moments: "InputMoments") -> NDArray[np.float64]:
        """Return the scale of each output channel, float64 [K]."""


class WeightRounding(_OfALayer):
    """Chooses the integers of a layer's weights. Of several in a recipe the last rounds, for all of them."""

    runs = "rounding"

    @abstractmethod
    def round(
        self, layer: "LayerWeights", scales: NDArray[np.float32], moments: "InputMoments"
    ) -> "QuantizedWeight":
        """Return the integers, at `scales` [K] or at larger ones."""


class BiasCorrection(_OfALayer):
    """Chooses a layer's bias, once its weights are rounded."""

    runs = "after rounding"

    @abstractmethod
    def bias(
        self, layer: "LayerWeights", weight: "QuantizedWeight", moments: "InputMoments"
    ) -> NDArray[np.float32]:
        """Return the bias, float32 [K]."""


class Learning(Correction):
    """Improves all numbers of the network together, from images that are held in memory."""

    runs = "at the end"

    @abstractmethod
    def improve(
        self,
        graph: "OnnxGraph",
        placement: "Placement",
        start: "Parameters",
        images: ImageBatches,
        on_batch: OnBatch,
    ) -> "Parameters":
        """Return better numbers than `start`. Raises ModelError and ImagesError."""

    @abstractmethod
    def images_read(self, images: int) -> int:
        """Return how many images are reported to `on_batch`, given so many."""
