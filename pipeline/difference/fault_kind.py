"""The kinds of faults that a comparison of two networks can name."""

from enum import StrEnum


class FaultKind(StrEnum):
    """What is wrong at a place. The values are the words of reports."""

    PICTURE_COLOURS = "channel order of the picture"
    NORMALISATION = "normalisation"
    PICTURE_GEOMETRY = "picture geometry"
    WEIGHTS = "weights"
    KERNEL_ORIENTATION = "kernel orientation"
    WEIGHT_PRECISION = "weight precision"
    WEIGHT_SCALES = "weight scales"
    BIAS = "bias"
    NORM = "norm"
    PADDING = "padding"
    WINDOW = "window"
    ACTIVATION = "activation"
    MISSING_OPERAND = "missing operand"
    HALF_PRECISION = "half precision"
    CHANNEL_ORDER = "channel order inside"
    POOLING = "pooling"
    RESIZE = "resize"
    CLIPPED_RANGE = "clipped range"
    COARSE_RANGE = "coarse range"
    SCALE = "scale"
    ZERO_POINT = "zero point"
    SATURATION = "saturating sums"
    CLASS_ORDER = "class order"
    OUTPUT_FUNCTION = "output function"
    UNEXPLAINED = "unexplained"
