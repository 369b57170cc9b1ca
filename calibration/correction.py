"""The base classes of corrections: their word in recipes, when they run, and what they need.

When it runs is the class it derives from. In the order in which they run:

    Preparation       rewrites the float model, which goes on to compute the same
    RangeChoice       chooses ranges, once the observers have seen the images
    WidthChoice       chooses the tensors that get 16 bits (integers, or FP16), once ranges are known
    PixelReading      says how the first convolution reads the image
    WeightScaling     chooses the scales of a layer's weights
    WeightRounding    chooses the integers of a layer's weights
    BiasCorrection    chooses a layer's bias, once its weights are rounded
    Learning          improves all numbers of the network together

A correction is one file in `corrections/` and one line in its registry. The file must import quickly, since
all of them are loaded to parse a recipe's name: it imports its implementation when it runs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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
    """What a correction needs besides the float model and the ranges."""

    IMAGES = "images"
    MOMENTS = "moments"
    """The means of each layer's input, before and after quantisation."""
    COVARIANCES = "covariances"
    """The covariance of each layer's input, besides the means."""
    GRADIENTS = "gradients"
    """Gradients: `replay` has to support every operator of the network."""


class Correction(ABC):
    """A method to reduce the error of plain rounding."""

    word: ClassVar[str]
    """Its word in recipes."""
    summary: ClassVar[str]
    """One line for lists and messages."""
    runs: ClassVar[str]
    """When it runs, in a word or two; each kind of correction sets it."""
    needs: ClassVar[frozenset[Need]] = frozenset()
    pointless: ClassVar[Mapping[Scheme, str]] = {}
    """The schemes for which it has no effect, each with the reason."""
    conflicts: ClassVar[Mapping[str, str]] = {}
    """Other corrections, by word, that it cannot be combined with, each with the reason."""
    undone_by_training: ClassVar[str] = ""
    """Why training the quantised network afterwards would undo it; empty if it would not."""
    kept_in_training: ClassVar[bool] = False
    """Whether it prunes weights to the 2:4 pattern, which such training keeps."""


class Preparation(Correction):
    """Rewrites the float model before ranges are collected, in its own pass over the images."""

    runs = "before ranges"

    @abstractmethod
    def rewrite(
        self, graph: "OnnxGraph", images: ImageBatches, recipe: RecipeBase, on_batch: OnBatch
    ) -> "onnx.ModelProto":
        """Return a model that computes the same logits. Raises ModelError and ImagesError."""

    def known_ranges(self, graph: "OnnxGraph") -> "dict[str, Range]":  # noqa: ARG002 -- for those that have some
        """Return the ranges of tensors in the rewritten model that do not depend on the images."""
        return {}


class RangeChoice(Correction):
    """Chooses ranges in place of the observer's, given images that are held in memory."""

    runs = "after ranges"

    @abstractmethod
    def choose(
        self,
        graph: "OnnxGraph",
        tensors: tuple[str, ...],
        recipe: RecipeBase,
        images: ImageBatches,
        on_batch: OnBatch,
    ) -> "dict[str, Range]":
        """Return the range of each of `tensors` that it has a better one for. Raises ModelError."""

    @abstractmethod
    def images_read(self, images: int) -> int:
        """Return how many images are held and reported to `on_batch`, given so many."""


@dataclass(frozen=True)
class WideChoice:
    """The names of tensors that get 16 bits, and what these and more of them are expected to bring."""

    tensors: tuple[str, ...] = ()
    outlook: str = ""


class WidthChoice(Correction):
    """Chooses tensors that get 16 bits, given images that are held in memory.

    They are integers under w8a8_asym, and FP16 under w8a8_sym.
    """

    runs = "after ranges"

    @abstractmethod
    def choose(
        self,
        graph: "OnnxGraph",
        placement: "Placement",
        recipe: RecipeBase,
        ranges: "Mapping[str, Range]",
        images: ImageBatches,
        on_batch: OnBatch,
    ) -> WideChoice:
        """Return the choice. Raises ModelError."""

    @abstractmethod
    def images_read(self, images: int) -> int:
        """Return how many images are held and reported to `on_batch`, given so many."""


class PixelReading(Correction):
    """Makes the first convolution read the pixels themselves, without loss."""

    runs = "placement"


class ResidualReading(Correction):
    """Makes residual additions read 16 bits: integers under w8a8_asym, FP16 under w8a8_sym."""

    runs = "placement"


class _OfALayer(Correction):
    """Works on one layer, given the moments of its input."""

    needs = frozenset({Need.IMAGES, Need.MOMENTS})


class WeightScaling(_OfALayer):
    """Chooses the scales of a layer's weights in place of max / 127."""

    runs = "weight scales"

    @abstractmethod
    def scales(self, layer: "LayerWeights", moments: "InputMoments") -> NDArray[np.float64]:
        """Return the scale of each output channel, float64 [K]."""


class WeightRounding(_OfALayer):
    """Chooses the integers of a layer's weights. If a recipe has several, the last one is used."""

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
    """Improves all parameters of the network together, with images that are held in memory."""

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
        """Return parameters improved from `start`. Raises ModelError and ImagesError."""

    @abstractmethod
    def images_read(self, images: int) -> int:
        """Return how many images are reported to `on_batch`, given so many."""
