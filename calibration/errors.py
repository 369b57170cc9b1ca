"""Errors of calibration and quantisation that the command line reports without a traceback."""


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
