"""Ranges of least error at the logits, in place of least error of the values themselves.

To second order, an error d of a value changes the logits by a power of g^2 d^2, g^2 the sum of the squares of
the logits' derivatives by the value. Each tensor's values are counted in a histogram with weight g^2, from
which the range of least weighted error is read. A value that changes no logit costs nothing: the input of a
HardSwish below -3, of a sigmoid far from zero, or of a ReLU6 above 6 is left out of the range, whose step is
then finer. A rare large value that changes the logits costs much, and is not clipped. Beyond the range errors
are not small, and images that were not seen have larger ones: there they count more.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibration.grid import activation_grid
from calibration.histogram import BINS, Histogram, image_ends
from calibration.image_extremes import ImageExtremes
from calibration.logit_gradients import visit_gradients
from calibration.observers import Range
from calibration.onnx_graph import OnnxGraph
from calibration.scheme import Scheme

IMAGES = 256
"""Of 128 images, 1,000 others had values so far beyond the range that MobileNetV3 lost 8 dB."""
CLIPPED = 16.0
"""The weight of errors beyond the range. Rare large values differ from image to image: those that calibration
has not seen are clipped too, and more."""
COARSE, FINE = np.arange(0.05, 1.001, 0.05), np.arange(-0.05, 0.0501, 0.005)


def ranges_by_logits(
    graph: OnnxGraph,
    tensors: tuple[str, ...],
    scheme: Scheme,
    images: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
) -> dict[str, Range]:
    """Return the range of each of `tensors` on the first IMAGES images; those without a gradient have none.

    Ranges are stretched by what more images are expected to exceed them (`image_extremes`).
    Raises ModelError for operators without a gradient.
    """
    found: dict[str, Histogram] = {}
    extremes: dict[str, ImageExtremes] = {}

    def count(name: str, x: Tensor, gradient: Tensor) -> None:
        histogram = found.setdefault(name, Histogram(counts=np.zeros(2 * BINS)))
        values = x.numpy()
        ends = image_ends(values)
        histogram.update(values, np.square(gradient.numpy(), dtype=np.float64), ends)
        extremes.setdefault(name, ImageExtremes()).update(ends)

    for part in visit_gradients(graph, tensors, images, IMAGES, count):
        on_batch(part)
    chosen = {name: least_weighted_error(one, scheme) for name, one in found.items() if one.counts.any()}
    return {name: Range(*extremes[name].stretched(one.low, one.high)) for name, one in chosen.items()}


def least_weighted_error(histogram: Histogram, scheme: Scheme) -> Range:
    """The range whose grid has the least weighted squared error, with what is clipped counted CLIPPED times.

    Each end is searched for separately.
    """
    centres, weights = histogram.nonzero()
    x = centres.astype(np.float32)

    def error(low: float, high: float) -> float:
        grid = activation_grid(histogram.low * low, histogram.high * high, scheme)
        difference = grid.dequantize(grid.quantize(x)) - centres
        beyond = (centres < histogram.low * low) | (centres > histogram.high * high)
        return float((difference * difference * np.where(beyond, CLIPPED, 1.0)) @ weights)

    low = high = 1.0
    for steps in (COARSE, COARSE, FINE, FINE):
        beside = 0.0 if steps is COARSE else 1.0
        highs, lows = (np.clip(beside * end + steps, 0.02, 1).tolist() for end in (high, low))
        high = min(reversed(highs), key=lambda f: error(low, f))
        low = min(reversed(lows), key=lambda f: error(f, high))
    return Range(histogram.low * low, histogram.high * high)
