"""Quantisation recipes. A name decodes: `w8a8_asym_minmax` is the scheme, then the observer."""

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
    """How a tensor's range is found from the values seen in calibration."""

    MINMAX = "minmax"


@dataclass(frozen=True)
class QuantRecipe:
    """Everything that decides how a float graph becomes a Q/DQ graph, besides the calibration images."""

    scheme: Scheme
    observer: ObserverName = ObserverName.MINMAX

    @property
    def name(self) -> str:
        """The name that `parse` reads back. Default parts are left out."""
        parts = [self.scheme.value]
        if self.observer is not ObserverName.MINMAX:
            parts.append(self.observer.value)
        return "_".join(parts)

    @classmethod
    def parse(cls, name: str) -> Self:
        """Decode a name such as `w8a8_asym`. Raises RecipeError, naming the part that is unknown."""
        scheme = next((s for s in Scheme if name == s or name.startswith(s + "_")), None)
        if scheme is None:
            raise RecipeError(_unknown("recipe", name, Scheme, "It has to start with"))
        recipe = cls(scheme)
        for part in name.removeprefix(scheme).split("_")[1:]:
            if part not in list(ObserverName):
                what = f"part of recipe {name!r}"
                raise RecipeError(_unknown(what, part, ObserverName, "Allowed after the scheme:"))
            recipe = cls(scheme, ObserverName(part))
        return recipe


def _unknown(what: str, found: str, names: Iterable[str], rule: str) -> str:
    allowed = [str(name) for name in names]
    return f"Unknown {what}: {found!r}. {rule} {', '.join(allowed)}.{did_you_mean(found, allowed)}"
