"""Collects moments of the inputs of a float model's layers, before and after their quantisation."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calibration.activations import InstrumentedModel
from calibration.errors import ImagesError
from calibration.grid import ActivationGrid
from calibration.onnx_graph import OnnxGraph, attribute
from calibration.placement import Placement
from calibration.weight_layers import layer_weights

DAMPING = 0.01
"""Of the mean diagonal, added to the diagonal of the Hessian; the value of the GPTQ paper."""
COVARIANCE_BYTES = 1 << 29
"""Of one layer; a larger one, such as that of a classifier on a whole map, is not held."""
PATCHES_AN_IMAGE = 64
"""At most this many patches of an image, evenly spread, enter the covariance; all enter the means."""


@dataclass(frozen=True)
class InputMoments:
    """Moments of a layer's input patches: D = C / G * R * S values in each of the G groups.

    `covariance` float32 [G, D, D] of the quantised patches x', None if it is not needed or too large;
    `float_mean` and `quantized_mean` float64 [G * D].
    """

    covariance: NDArray[np.float32] | None
    float_mean: NDArray[np.float64]
    quantized_mean: NDArray[np.float64]

    @cached_property
    def hessian(self) -> NDArray[np.float64]:
        """float64 [G, D, D], positive definite: of the mean squared error of an output in its weights.

        The covariance with its diagonal raised, so that an input that never changes has no free rounding.
        """
        assert self.covariance is not None  # noqa: S101 -- the recipe's needs say so
        hessians = self.covariance.astype(np.float64)
        squares = np.square(self.quantized_mean).reshape(len(hessians), -1)
        for hessian, square in zip(hessians, squares, strict=True):
            damping = max(DAMPING * hessian.diagonal().mean(), 0.0)
            if damping < np.finfo(np.float32).eps * square.sum():
                damping = max(damping, _lost(hessian))
            hessian[np.diag_indices_from(hessian)] += damping or 1.0
        return hessians

    @property
    def importance(self) -> NDArray[np.float64]:
        """float64 [G, D]: the diagonal of the Hessian."""
        return np.diagonal(self.hessian, axis1=1, axis2=2)


def _lost(covariance: NDArray[np.float64]) -> float:
    """Return a correction for the digits that a float32 covariance lost, far below the mean's square.

    It is the difference of two larger numbers, so its lowest eigenvalue can come out negative.
    """
    return 2 * max(0.0, -float(np.linalg.eigvalsh(covariance)[0]))


def collect_moments(
    graph: OnnxGraph,
    placement: Placement,
    grids: dict[str, ActivationGrid],
    batches: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
    covariance: bool = True,
) -> dict[int, InputMoments]:
    """Return the moments of each 8-bit layer's input, by node index, from one pass over uint8 NHWC `batches`.

    Memory: the float32 covariance of every layer if that is wanted, whatever the number of images, except for
    those above COVARIANCE_BYTES. Raises ImagesError for no images.
    """
    layers = {i: _Sums(graph, i, placement, covariance) for i in placement.layers}
    read = {
        i: graph.nodes[i].input[0] for i in layers if not (placement.pixels and i == placement.pixels.conv)
    }
    activations = InstrumentedModel(graph, tuple(dict.fromkeys(read.values())))
    images = 0
    for batch in batches:
        done = 0
        for values in activations.run(batch):
            part = batch[done : done + len(next(iter(values.values()))) if values else len(batch)]
            for i, sums in layers.items():
                if i in read:
                    grid = grids[read[i]]
                    sums.add(values[read[i]], grid.dequantize(grid.quantize(values[read[i]])))
                elif placement.pixels:
                    pixels = placement.pixels.convolution_input(part)
                    sums.add(pixels, pixels)
            done += len(part)
        images += len(batch)
        on_batch(len(batch))
    if images == 0:
        raise ImagesError("The recipe needs calibration images to round the weights, and there are none.")
    return {i: sums.moments() for i, sums in layers.items()}


class _Sums:
    """Running sums of one layer's input patches."""

    def __init__(self, graph: OnnxGraph, index: int, placement: Placement, covariance: bool) -> None:
        self.node = graph.nodes[index]
        groups = attribute(self.node, "group", 1)
        padded = placement.pixels is not None and index == placement.pixels.conv  # its input comes padded
        self.pads = [0, 0, 0, 0] if padded else list(attribute(self.node, "pads", [0, 0, 0, 0]))
        weight = layer_weights(graph, index, None).weight
        self.kernel = weight.shape[2:]
        self.count = self.sampled = 0
        width = weight[0].size
        self.float_sum = np.zeros(groups * width)
        self.quantized_sum = np.zeros(groups * width)
        self.sampled_sum = np.zeros((groups, width))
        wanted = covariance and 4 * groups * width * width <= COVARIANCE_BYTES
        self.products = np.zeros((groups, width, width), np.float32) if wanted else None

    def add(self, before: NDArray[np.float32], after: NDArray[np.float32]) -> None:
        """Add the layer's float input, and the same after quantisation."""
        windows = self._windows(after)
        self.count += windows.shape[0] * windows.shape[2] * windows.shape[3]
        self.float_sum += _position_sums(self._windows(before))
        self.quantized_sum += _position_sums(windows)
        if self.products is None:
            return
        some = _patches(windows)
        some = some.reshape(len(some), *self.sampled_sum.shape)
        self.sampled += len(some)
        self.sampled_sum += some.sum(axis=0, dtype=np.float64)
        if len(self.products) == 1:
            self.products[0] += some[:, 0].T @ some[:, 0]
        else:
            groups = some.transpose(1, 0, 2)
            self.products += groups.transpose(0, 2, 1) @ groups

    def moments(self) -> InputMoments:
        """The means, and the covariance of the sampled patches if it is wanted."""
        if self.products is not None:
            mean = self.sampled_sum / self.sampled
            self.products /= self.sampled
            self.products -= (mean[:, :, None] * mean[:, None, :]).astype(np.float32)
        return InputMoments(self.products, self.float_sum / self.count, self.quantized_sum / self.count)

    def _windows(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """A view [n, C, rows, columns, R, S] of each position of the kernel; a Gemm is 1x1 on one pixel."""
        if self.node.op_type == "Gemm":
            return x.reshape(len(x), -1, 1, 1, 1, 1)
        top, left, bottom, right = self.pads
        padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        apart = attribute(self.node, "dilations", [1, 1])
        reach = tuple((size - 1) * step + 1 for size, step in zip(self.kernel, apart, strict=True))
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
        down, across = attribute(self.node, "strides", [1, 1])
        return windows[:, :, ::down, ::across, :: apart[0], :: apart[1]]


def _position_sums(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64 [C * R * S]: the sum over images and positions."""
    _, channels, _, _, height, width = windows.shape
    sums = np.empty((channels, height, width))
    for r in range(height):
        for s in range(width):
            sums[:, r, s] = windows[:, :, :, :, r, s].sum(axis=(2, 3)).sum(axis=0, dtype=np.float64)
    return sums.ravel()


def _patches(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [samples, C * R * S]: at most PATCHES_AN_IMAGE positions of each image, evenly spread."""
    n, _, rows, columns = windows.shape[:4]
    position = np.arange(0, rows * columns, -(-rows * columns // PATCHES_AN_IMAGE))
    some = windows.transpose(0, 2, 3, 1, 4, 5)[:, position // columns, position % columns]
    return some.reshape(n * len(position), -1)
