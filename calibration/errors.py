"""Errors of calibration and quantisation that the command line reports without a traceback."""


class CalibrationError(Exception):
    """Something about the calibration images, the ranges or the graph that the user can put right."""
