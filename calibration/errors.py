"""Errors that the command line reports without a traceback, and the hint that all packages give."""

from collections.abc import Iterable
from difflib import get_close_matches


class CalibrationError(Exception):
    """Something about the calibration images, the ranges or the graph that the user can put right."""


class RecipeError(CalibrationError):
    """A recipe name that does not decode."""


class ModelError(CalibrationError):
    """A model that cannot be read, or whose graph is not one that can be quantised."""


class ImagesError(CalibrationError):
    """Calibration images that are missing, do not fit the model, or give activations that are not finite."""


class RangesError(CalibrationError):
    """A ranges file that cannot be read or does not fit the model."""


class LintError(CalibrationError):
    """A quantised graph that breaks a placement rule."""


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the name meant most likely, or "" if none is like it."""
    names = list(allowed)
    longer = [name for name in names if name.startswith(found)]
    close = longer or get_close_matches(found, names, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
