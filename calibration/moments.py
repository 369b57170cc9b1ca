"""Collects moments of the inputs of a float model's layers, before and after their quantisation.

All sums are sums of integers: of codes, of products of codes, and of float values rounded to a fraction of
the grid's step. So sums over parts of the images, merged, are those over all images, bit for bit, in any
order and however the images were cut into parts and batches.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from calibration.activations import InstrumentedModel
from calibration.errors import ImagesError
from calibration.exact_sums import ExactProducts, exact_sum
from calibration.grid import ActivationGrid
from calibration.onnx_graph import OnnxGraph, attribute
from calibration.placement import Placement
from calibration.weight_layers import layer_weights

DAMPING = 0.01
"""The share of the mean diagonal that is added to the diagonal of the Hessian; the GPTQ paper's value."""
COVARIANCE_BYTES = 1 << 29
"""The most bytes of a layer's covariance. Larger ones, as of a classifier on a whole map, are not held."""
PATCHES_AN_IMAGE = 64
"""At most this many patches of an image, evenly spread, enter the covariance; all enter the means."""
FRACTION = 1 << 16
"""Float values are summed in this part of the grid's step; rounding to int8 is 2^15 times coarser."""
FARTHEST = 1 << 34
"""In units of 1 / FRACTION: values beyond 2^18 steps are clipped, so that a map's sum stays below 2^53."""


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

    Memory: the covariance of every layer if that is wanted, in int32 for up to some 2,000 images and in int64
    for more, except for those above COVARIANCE_BYTES. Raises ImagesError for no images.
    """
    sums = sum_inputs(graph, placement, grids, batches, on_batch, covariance)
    return {i: layer.moments() for i, layer in sums.items()}


def sum_inputs(
    graph: OnnxGraph,
    placement: Placement,
    grids: dict[str, ActivationGrid],
    batches: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
    covariance: bool = True,
) -> "dict[int, InputSums]":
    """Return the sums that moments are made of, by node index. Arguments and errors as `collect_moments`."""
    read = {
        i: graph.nodes[i].input[0]
        for i in placement.layers
        if not (placement.pixels and i == placement.pixels.conv)
    }
    layers = {
        i: InputSums(graph, i, placement, covariance, grids[read[i]] if i in read else None)
        for i in placement.layers
    }
    activations = InstrumentedModel(graph, tuple(dict.fromkeys(read.values())))
    images = 0
    for batch in batches:
        done = 0
        for values in activations.run(batch):
            part = batch[done : done + len(next(iter(values.values()))) if values else len(batch)]
            for i, sums in layers.items():
                if i in read:
                    sums.add(values[read[i]])
                elif placement.pixels:
                    sums.add(placement.pixels.convolution_input(part))
            done += len(part)
        images += len(batch)
        on_batch(len(batch))
    if images == 0:
        raise ImagesError("The recipe needs calibration images to round the weights, and there are none.")
    return layers


class InputSums:
    """Running sums of one layer's input patches, in integers.

    grid: of the input; None: the pixels themselves, which are integers.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        index: int,
        placement: Placement,
        covariance: bool,
        grid: ActivationGrid | None,
    ) -> None:
        self._node = graph.nodes[index]
        self._grid = grid
        groups = attribute(self._node, "group", 1)
        padded = placement.pixels is not None and index == placement.pixels.conv  # its input comes padded
        self._pads = [0, 0, 0, 0] if padded else list(attribute(self._node, "pads", [0, 0, 0, 0]))
        weight = layer_weights(graph, index, None).weight
        self._kernel = weight.shape[2:] or (1, 1)  # a Gemm is 1x1 on one pixel
        self.count = 0
        width = weight[0].size
        self.float_sum = np.zeros(groups * width, np.int64)
        self.quantized_sum = np.zeros(groups * width, np.int64)
        self.sampled_sum = np.zeros((groups, width), np.int64)
        wanted = covariance and 4 * groups * width * width <= COVARIANCE_BYTES
        self.products = ExactProducts(groups, width, self._reach) if wanted else None

    @property
    def _step(self) -> float:
        return 1.0 if self._grid is None else float(self._grid.scale)

    @property
    def _middle(self) -> int:
        """The number subtracted from codes before they are multiplied, so that they lie around zero."""
        grid = self._grid
        return 0 if grid is None else (grid.low + grid.high + 1) // 2 - int(grid.zero_point)

    @property
    def _reach(self) -> int:
        """The largest magnitude of such a code."""
        return 255 if self._grid is None else (self._grid.high - self._grid.low + 1) // 2

    def add(self, values: NDArray[np.float32]) -> None:
        """Add the layer's float input for some images."""
        steps, codes = values, values
        if self._grid is not None:
            steps = values / self._grid.scale
            codes = (self._grid.quantize(values) - np.int32(self._grid.zero_point)).astype(np.float32)
        fractions = np.clip(np.rint(steps * np.float32(FRACTION)), -FARTHEST, FARTHEST)
        self.count += len(values) * int(np.prod(self._positions(values)))
        self.float_sum += self._position_sums(fractions)
        self.quantized_sum += self._position_sums(codes)
        if self.products is None:
            return
        some = _patches(self._windows(codes)) - np.float32(self._middle)
        some = some.reshape(len(some), *self.sampled_sum.shape)
        self.sampled_sum += exact_sum(some, 0).astype(np.int64)
        self.products.add(some)

    def merge(self, other: Self) -> None:
        """Take in all that `other` has seen of the same layer."""
        self.count += other.count
        self.float_sum += other.float_sum
        self.quantized_sum += other.quantized_sum
        self.sampled_sum += other.sampled_sum
        if self.products is not None and other.products is not None:
            self.products.merge(other.products)

    def moments(self) -> InputMoments:
        """The means, and the covariance of the sampled patches if it is wanted."""
        covariance = None
        if self.products is not None:
            products, rows = self.products.total, self.products.rows
            covariance = np.empty(products.shape, np.float32)
            mean = self.sampled_sum / rows
            for group, row in np.ndindex(self.sampled_sum.shape):
                centred = products[group, row] / rows - mean[group, row] * mean[group]
                covariance[group, row] = centred * self._step**2
        return InputMoments(
            covariance,
            self.float_sum / self.count * (self._step / FRACTION),
            self.quantized_sum / self.count * self._step,
        )

    @property
    def _reaches(self) -> tuple[int, int]:
        apart = attribute(self._node, "dilations", [1, 1])
        down, across = ((size - 1) * step + 1 for size, step in zip(self._kernel, apart, strict=True))
        return down, across

    def _positions(self, x: NDArray[np.float32]) -> tuple[int, int]:
        """How often the kernel fits into a map, down and across."""
        if self._node.op_type == "Gemm":
            return 1, 1
        top, left, bottom, right = self._pads
        strides = attribute(self._node, "strides", [1, 1])
        room = x.shape[2] + top + bottom, x.shape[3] + left + right
        down, across = (
            (have - reach) // step + 1 for have, reach, step in zip(room, self._reaches, strides, strict=True)
        )
        return down, across

    def _padded(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._node.op_type == "Gemm":
            return x.reshape(len(x), -1, 1, 1)
        top, left, bottom, right = self._pads
        return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))

    def _windows(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """A view [n, C, rows, columns, R, S] of each position of the kernel."""
        padded = self._padded(x)
        apart = attribute(self._node, "dilations", [1, 1])
        windows = np.lib.stride_tricks.sliding_window_view(padded, self._reaches, axis=(2, 3))
        down, across = attribute(self._node, "strides", [1, 1])
        return windows[:, :, ::down, ::across, :: apart[0], :: apart[1]]

    def _position_sums(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """int64 [C * R * S]: the sum of integers over images and positions, rows first and then columns."""
        padded, (height, width) = self._padded(x), self._kernel
        rows, columns = self._positions(x)
        down, across = attribute(self._node, "strides", [1, 1])
        below, beside = attribute(self._node, "dilations", [1, 1])
        sums = np.empty((padded.shape[1], height, width), np.int64)
        for r in range(height):
            first = r * below
            lines = exact_sum(padded[:, :, first : first + (rows - 1) * down + 1 : down], 2)
            for s in range(width):
                first = s * beside
                of_image = lines[:, :, first : first + (columns - 1) * across + 1 : across].sum(axis=2)
                sums[:, r, s] = of_image.astype(np.int64).sum(axis=0)
        return sums.ravel()


def _patches(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [samples, C * R * S]: at most PATCHES_AN_IMAGE positions of each image, evenly spread."""
    n, _, rows, columns = windows.shape[:4]
    position = np.arange(0, rows * columns, -(-rows * columns // PATCHES_AN_IMAGE))
    some = windows.transpose(0, 2, 3, 1, 4, 5)[:, position // columns, position % columns]
    return some.reshape(n * len(position), -1)
