"""Errors that the command line reports without a traceback, and the "Did you mean" hint."""

from collections.abc import Iterable
from difflib import get_close_matches


class CalibrationError(Exception):
    """An error in the calibration images, the ranges or the graph that the user can fix."""


class RecipeError(CalibrationError):
    """A recipe name that cannot be parsed."""


class ModelError(CalibrationError):
    """A model that cannot be read, or whose graph cannot be quantised."""


class ImagesError(CalibrationError):
    """Calibration images that are missing, do not fit the model, or give activations that are not finite."""


class RangesError(CalibrationError):
    """A ranges file that cannot be read or does not fit the model."""


class LintError(CalibrationError):
    """A quantised graph that breaks a placement rule."""


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the most similar name, or "" if there is none."""
    names = list(allowed)
    longer = [name for name in names if name.startswith(found)]
    close = longer or get_close_matches(found, names, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
