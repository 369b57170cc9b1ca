"""Where a Resize reads: the coordinates of ONNX's modes, of one axis."""

from collections.abc import Callable, Collection
from fractions import Fraction

import numpy as np

from targets.errors import NoIntegerForm
from targets.tvm.operators.resizing import Neighbours
from targets.tvm.tensors import Floats, Int32s

_LARGEST_PARTS = 1 << 10
"""Shares with a larger denominator have no integer form."""


def nearest(mode: str, rounding: str, length: int, count: int, scale: float) -> Int32s:
    """Which of `length` rows each of `count` is a copy of, by onnxruntime's coordinates in float32.

    Raises NoIntegerForm for a mode of coordinates or of rounding that is not known.
    """
    round_ = _ROUNDINGS[_known("nearest_mode", rounding, _ROUNDINGS)]
    places = round_(_coordinates(mode, length, count, scale))
    if scale == 1:  # whatever the mode says, as in onnxruntime
        places = np.arange(count, dtype=np.float32)
    return np.clip(places, 0, length - 1).astype(np.int32)


def linear(mode: str, length: int, count: int, scale: float) -> Neighbours:
    """Between which two of `length` rows each of `count` is, exactly.

    Raises NoIntegerForm for an unknown mode, and for a scale that is not a ratio of small integers.
    """
    ratio = Fraction(scale).limit_denominator(_LARGEST_PARTS)
    if ratio <= 0 or abs(float(ratio) / scale - 1) > 1e-6:
        raise NoIntegerForm(f"Its scale {scale} is not a ratio of small integers.")
    exact = [_exact(mode, n, length, count, ratio) for n in range(count)]
    places = [min(max(at, Fraction(0)), Fraction(length - 1)) for at in exact]
    parts = int(np.lcm.reduce([at.denominator for at in places]))
    if parts > _LARGEST_PARTS:
        raise NoIntegerForm(f"It lies between rows or columns in {parts} parts.")
    first = np.array([int(at) for at in places], np.int32)
    share = np.array([int((at - int(at)) * parts) for at in places], np.int32)
    return Neighbours(first, np.minimum(first + 1, length - 1).astype(np.int32), share, parts)


def _coordinates(mode: str, length: int, count: int, scale: float) -> Floats:
    n, half, by = np.arange(count, dtype=np.float32), np.float32(0.5), np.float32(scale)
    found: dict[str, Floats] = {
        "half_pixel": (n + half) / by - half,
        "pytorch_half_pixel": (n + half) / by - half if count > 1 else 0 * n,
        "align_corners": n * np.float32(length - 1) / np.float32(max(count - 1, 1)) if count > 1 else 0 * n,
        "asymmetric": n / by,
        "tf_half_pixel_for_nn": (n + half) / by,
    }
    return found[_known("coordinate_transformation_mode", mode, found)]


def _exact(mode: str, n: int, length: int, count: int, scale: Fraction) -> Fraction:
    half = Fraction(1, 2)
    found = {
        "half_pixel": (n + half) / scale - half,
        "pytorch_half_pixel": (n + half) / scale - half if count > 1 else Fraction(0),
        "align_corners": Fraction(n * (length - 1), max(count - 1, 1)),
        "asymmetric": n / scale,
    }
    return found[_known("coordinate_transformation_mode", mode, found)]


def _known(what: str, name: str, names: Collection[str]) -> str:
    if name not in names:
        raise NoIntegerForm(f"Its {what} is {name}.")
    return name


_ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}
