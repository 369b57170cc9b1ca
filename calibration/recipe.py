"""Quantisation recipes. A name decodes: `w8a8_asym_mse_bc` is scheme, then observer, then corrections."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from calibration.errors import RecipeError, did_you_mean


class Scheme(StrEnum):
    """The integer grid. Weights: symmetric per output channel, in [-127, 127]. Activations: per tensor."""

    SYM = "w8a8_sym"
    """int8 activations with zero point 0, the classifier in float: TensorRT's rule."""
    ASYM = "w8a8_asym"
    """uint8 activations with a zero point, pixels as they are, int8 classifier: integer CPU engines."""


class ObserverName(StrEnum):
    """How a tensor's range is found from the values seen in calibration; see `observers`."""

    MINMAX = "minmax"
    AVERAGE = "avg"
    PERCENTILE = "pct"
    ENTROPY = "kl"
    MSE = "mse"


class Correction(StrEnum):
    """What is done about the error of plain rounding, in the order in which it is done."""

    EQUALIZE = "eq"
    """Rescale channels so that every 8-bit tensor uses its grid well; see `equalize`."""
    CENTRE = "ctr"
    """Under w8a8_sym, shift the first activation so that its 8 bits are all used; see `centre`."""
    PIXELS = "pix"
    """Under w8a8_sym, quantise the pixels without loss; see `pixels`. w8a8_asym always does."""
    WEIGHT_MSE = "wmse"
    """Per-channel weight scales of least squared error instead of max / 127; see `rounding`."""
    SECOND_ORDER = "obq"
    """Learn the rounding of the weights from the layer's inputs, by second order; see `rounding`."""
    BIAS = "bc"
    """Bias correction: take the mean error of each output channel out of its bias; see `rounding`."""
    LEARNED = "ada"
    """Learn the rounding, biases and activation scales together, by gradient, in minutes; see `learned`."""


PREPARATIONS = frozenset({Correction.EQUALIZE, Correction.CENTRE})
"""The corrections that rewrite the float model, which goes on to compute the same."""
NEEDS_COVARIANCE = frozenset({Correction.SECOND_ORDER, Correction.WEIGHT_MSE})
"""The corrections that look at how the inputs of a layer vary together."""
NEEDS_MOMENTS = NEEDS_COVARIANCE | {Correction.BIAS}
"""The corrections that look at the inputs of a layer."""
NEEDS_IMAGES = NEEDS_MOMENTS | {Correction.LEARNED}
"""The corrections for which `quantize` has to see images."""

LEARN_EPOCHS = 12
LEARN_FROM = 1024
"""At most so many images are learned from; they are held in memory."""


@dataclass(frozen=True)
class QuantRecipe:
    """Everything that decides how a float graph becomes a Q/DQ graph, besides the calibration images."""

    scheme: Scheme
    observer: ObserverName = ObserverName.MINMAX
    corrections: frozenset[Correction] = frozenset()

    def __post_init__(self) -> None:
        needless = {
            Correction.PIXELS: "always takes pixels without loss",
            Correction.CENTRE: "has a zero point, which uses all 8 bits already",
        }
        for correction in needless.keys() & self.corrections if self.scheme is Scheme.ASYM else ():
            raise RecipeError(
                f"{self.scheme} {needless[correction]}. Leave '{correction}' out of the recipe."
            )

    @property
    def name(self) -> str:
        """The name that `parse` reads back. The default observer is left out."""
        observer = [] if self.observer is ObserverName.MINMAX else [self.observer.value]
        return "_".join(
            [self.scheme.value, *observer, *(c.value for c in Correction if c in self.corrections)]
        )

    @property
    def prepares(self) -> bool:
        """Whether the float model has to be prepared before ranges are collected; see `prepare`."""
        return bool(PREPARATIONS & self.corrections)

    @property
    def needs_images(self) -> bool:
        """Whether `quantize` has to see calibration images, and not only ranges."""
        return bool(NEEDS_IMAGES & self.corrections)

    @property
    def needs_moments(self) -> bool:
        """Whether a pass over the images is needed for what each layer reads."""
        return bool(NEEDS_MOMENTS & self.corrections)

    @property
    def needs_covariance(self) -> bool:
        """Whether that has to be known with its covariance."""
        return bool(NEEDS_COVARIANCE & self.corrections)

    def has(self, correction: Correction) -> bool:
        """Whether the recipe asks for this correction."""
        return correction in self.corrections

    @classmethod
    def parse(cls, name: str) -> Self:
        """Decode a name such as `w8a8_asym_mse_bc`. Raises RecipeError, naming the part that is wrong."""
        scheme = next((s for s in Scheme if name == s or name.startswith(s + "_")), None)
        if scheme is None:
            raise RecipeError(_unknown("recipe", name, Scheme, "It has to start with"))
        observers: list[ObserverName] = []
        corrections: list[Correction] = []
        for part in name.removeprefix(scheme).split("_")[1:]:
            if part in list(ObserverName):
                observers.append(ObserverName(part))
            elif part in list(Correction):
                corrections.append(Correction(part))
            else:
                what, allowed = f"part of recipe {name!r}", [*ObserverName, *Correction]
                raise RecipeError(_unknown(what, part, allowed, "Allowed after the scheme:"))
        if len(observers) > 1 or len(set(corrections)) < len(corrections):
            raise RecipeError(
                f"Recipe {name!r} names more than one observer, or a correction twice. Keep one of each."
            )
        return cls(scheme, observers[0] if observers else ObserverName.MINMAX, frozenset(corrections))


def _unknown(what: str, found: str, names: Iterable[str], rule: str) -> str:
    allowed = [str(name) for name in names]
    return f"Unknown {what}: {found!r}. {rule} {', '.join(allowed)}.{did_you_mean(found, allowed)}"
