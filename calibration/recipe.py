"""Quantisation recipes. The name `w8a8_asym_mse_bc` has the scheme, then the observer, then corrections."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Self, TypeVar

from calibration.correction import Correction, Need, PixelReading, Preparation, ResidualReading
from calibration.corrections import CORRECTIONS
from calibration.errors import RecipeError, did_you_mean
from calibration.scheme import ObserverName, Scheme

__all__ = ["ObserverName", "QuantRecipe", "Scheme"]

Kind = TypeVar("Kind", bound=Correction)


@dataclass(frozen=True)
class QuantRecipe:
    """Everything that decides how a float graph becomes a Q/DQ graph, besides the calibration images.

    `corrections` are words that `corrections.CORRECTIONS` knows.
    """

    scheme: Scheme
    observer: ObserverName = ObserverName.MINMAX
    corrections: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        chosen = self.of_kind(Correction)
        for one in chosen:
            if self.scheme in one.pointless:
                raise RecipeError(
                    f"{self.scheme} {one.pointless[self.scheme]}. Leave '{one.word}' out of the recipe."
                )
        for a, b in combinations(chosen, 2):
            why = a.conflicts.get(b.word) or b.conflicts.get(a.word)
            if why:
                raise RecipeError(
                    f"'{a.word}' and '{b.word}' cannot be combined: {why}. Leave one out of the recipe."
                )

    @property
    def name(self) -> str:
        """The name that `parse` reads back. The default observer is left out."""
        observer = [] if self.observer is ObserverName.MINMAX else [self.observer.value]
        return "_".join([self.scheme.value, *observer, *(one.word for one in self.of_kind(Correction))])

    def of_kind(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """The recipe's corrections of a kind, in the order in which they are done."""
        return tuple(one for one in CORRECTIONS if one.word in self.corrections and isinstance(one, kind))

    @property
    def prepares(self) -> bool:
        """Whether the float model has to be prepared before ranges are collected; see `prepare`."""
        return bool(self.of_kind(Preparation))

    @property
    def lossless_pixels(self) -> bool:
        """Whether the first convolution reads the pixels themselves; see `fold_pixels`."""
        return self.scheme is Scheme.ASYM or bool(self.of_kind(PixelReading))

    @property
    def wide_residuals(self) -> bool:
        """Whether residual additions read 16 bits; see `placement`."""
        return bool(self.of_kind(ResidualReading))

    @property
    def needs_images(self) -> bool:
        """Whether `quantize` has to see calibration images, and not only ranges."""
        return self._needs(Need.IMAGES)

    @property
    def needs_moments(self) -> bool:
        """Whether a pass over the images is needed for what each layer reads."""
        return self._needs(Need.MOMENTS)

    @property
    def needs_gradients(self) -> bool:
        """Whether a correction reads gradients, which torch computes."""
        return any(Need.GRADIENTS in one.needs for one in self.of_kind(Correction))

    @property
    def needs_covariance(self) -> bool:
        """Whether that has to be known with its covariance."""
        return self._needs(Need.COVARIANCES)

    def _needs(self, need: Need) -> bool:
        """Whether a correction needs it once the float model is prepared."""
        return any(need in one.needs for one in self.of_kind(Correction) if not isinstance(one, Preparation))

    @classmethod
    def parse(cls, name: str) -> Self:
        """Decode a name such as `w8a8_asym_mse_bc`. Raises RecipeError, naming the part that is wrong."""
        scheme = next((s for s in Scheme if name == s or name.startswith(s + "_")), None)
        if scheme is None:
            raise RecipeError(_unknown("recipe", name, Scheme, "It has to start with"))
        observers: list[ObserverName] = []
        corrections: list[str] = []
        words = [one.word for one in CORRECTIONS]
        for part in name.removeprefix(scheme).split("_")[1:]:
            if part in list(ObserverName):
                observers.append(ObserverName(part))
            elif part in words:
                corrections.append(part)
            else:
                what, allowed = f"part of recipe {name!r}", [*ObserverName, *words]
                raise RecipeError(_unknown(what, part, allowed, "Allowed after the scheme:"))
        if len(observers) > 1 or len(set(corrections)) < len(corrections):
            raise RecipeError(
                f"Recipe {name!r} names more than one observer, or a correction twice. Keep one of each."
            )
        return cls(scheme, observers[0] if observers else ObserverName.MINMAX, frozenset(corrections))


def _unknown(what: str, found: str, names: Iterable[str], rule: str) -> str:
    allowed = [str(name) for name in names]
    return f"Unknown {what}: {found!r}. {rule} {', '.join(allowed)}.{did_you_mean(found, allowed)}"
