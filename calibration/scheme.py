"""The parts of a recipe besides corrections: the integer grid, and how ranges are found."""

from enum import StrEnum
from typing import Protocol


class Scheme(StrEnum):
    """The integer grid. Weights: symmetric per output channel, in [-127, 127]. Activations: per tensor."""

    SYM = "w8a8_sym"
    """int8 activations with zero point 0, the classifier in float: TensorRT's rule."""
    ASYM = "w8a8_asym"
    """uint8 activations with a zero point, pixels as they are, int8 classifier: integer CPU engines."""

    @property
    def summary(self) -> str:
        """One line for lists."""
        return {
            Scheme.SYM: "int8 activations, zero point 0, float classifier: TensorRT's rule",
            Scheme.ASYM: "uint8 activations with a zero point, int8 classifier: CPU engines",
        }[self]


class ObserverName(StrEnum):
    """How a tensor's range is found from the values seen in calibration; see `observers`."""

    MINMAX = "minmax"
    AVERAGE = "avg"
    PERCENTILE = "pct"
    ENTROPY = "kl"
    MSE = "mse"

    @property
    def summary(self) -> str:
        """One line for lists."""
        return {
            ObserverName.MINMAX: "smallest and largest value (may be left out)",
            ObserverName.AVERAGE: "mean over images of each image's extremes",
            ObserverName.PERCENTILE: "leave out 0.001 % at each end",
            ObserverName.ENTROPY: "TensorRT's entropy calibration: least KL divergence",
            ObserverName.MSE: "the grid of least squared error",
        }[self]


class RecipeBase(Protocol):
    """The part of a recipe that placement and corrections depend on."""

    @property
    def scheme(self) -> Scheme:
        """The integer grid."""

    @property
    def observer(self) -> ObserverName:
        """How ranges are found."""

    @property
    def lossless_pixels(self) -> bool:
        """Whether the first convolution reads the pixels themselves."""

    @property
    def wide_residuals(self) -> bool:
        """Whether residual additions read 16 bits."""
