"""Moments of the inputs of a float model's layers, before and after their quantisation.

All sums are sums of integers: of codes, of products of codes, and of float values rounded to a fraction of
the grid's step. So no bit depends on how the images were cut into batches.

Codes of the layers' inputs are kept while images run, and each layer's covariance is computed when it is
wanted, one at a time. Where the codes of all layers would take more than KEPT_BYTES, the images run again for
the later layers. So memory does not grow with the depth of the network.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from calibration.activations import InstrumentedModel
from calibration.errors import ImagesError
from calibration.exact_covariance import exact_covariance
from calibration.grid import ActivationGrid
from calibration.input_patches import SAMPLED, InputPatches
from calibration.onnx_graph import OnnxGraph
from calibration.placement import Placement
from calibration.tensor_sizes import tensor_sizes
from calibration.weight_layers import layer_weights

IMAGES = 192
"""The first ones are read."""
DAMPING = 0.01
"""The share of the mean diagonal that is added to the diagonal of the Hessian; the GPTQ paper's value."""
COVARIANCE_BYTES = 1 << 29
"""The most bytes of a layer's covariance. Larger ones, as of a classifier on a whole map, are not held."""
KEPT_BYTES = 192 << 20
"""The most bytes of codes that are kept, if one layer has not more."""
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


def moments_by_layer(
    graph: OnnxGraph,
    placement: Placement,
    grids: Mapping[str, ActivationGrid],
    batches: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
    covariance: bool = True,
) -> Iterator[tuple[int, InputMoments]]:
    """Yield each 8-bit layer's node index and the moments of its input, in the order of `placement.layers`.

    From the first IMAGES of `batches`, uint8 NHWC, which are held in memory and reported to `on_batch`.
    Covariances above COVARIANCE_BYTES are left out. Raises ImagesError for no images.
    """
    images = _first(batches)
    inputs = [LayerInput(graph, index, placement, grids, covariance) for index in placement.layers]
    passes = _passes(inputs, tensor_sizes(graph), sum(map(len, images)))
    report = _Shared(on_batch, len(passes))
    for together in passes:
        _read(graph, placement, together, images, report)
        while together:
            layer = together.pop(0)
            yield layer.index, layer.moments()


def _first(batches: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    held, left = list[NDArray[np.uint8]](), IMAGES
    for batch in batches:
        held.append(batch[:left].copy())
        left -= len(held[-1])
        if left <= 0:
            break
    if left == IMAGES:
        raise ImagesError("The recipe needs calibration images to round the weights, and there are none.")
    return held


def _passes(
    inputs: "list[LayerInput]", sizes: Mapping[str, list[int]], images: int
) -> "list[list[LayerInput]]":
    """Divide the layers, in their order, so that the codes of those in a pass fit into KEPT_BYTES."""
    passes: list[list[LayerInput]] = []
    room = 0
    for layer in inputs:
        needed = images * layer.bytes_an_image(sizes)
        if not passes or needed > room:
            passes.append([])
            room = KEPT_BYTES
        passes[-1].append(layer)
        room -= needed
    return passes


class _Shared:
    """Reports each image once, though it runs in several passes."""

    def __init__(self, on_batch: Callable[[int], None], passes: int) -> None:
        self._on_batch, self._passes, self._seen = on_batch, passes, 0

    def __call__(self, images: int) -> None:
        before = self._seen // self._passes
        self._seen += images
        self._on_batch(self._seen // self._passes - before)


def _read(
    graph: OnnxGraph,
    placement: Placement,
    inputs: "list[LayerInput]",
    batches: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
) -> None:
    """Run the images and give each layer its input."""
    activations = InstrumentedModel(graph, tuple(dict.fromkeys(one.tensor for one in inputs if one.tensor)))
    for batch in batches:
        done = 0
        for values in activations.run(batch):
            part = batch[done : done + len(next(iter(values.values()))) if values else len(batch)]
            for layer in inputs:
                if layer.tensor:
                    layer.add(values[layer.tensor])
                elif placement.pixels:
                    layer.add(placement.pixels.convolution_input(part))
            done += len(part)
        on_batch(len(batch))


class LayerInput:
    """Running sums of one layer's input, and the codes from which its covariance follows.

    tensor: its name; None for the pixels themselves, which are integers.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        index: int,
        placement: Placement,
        grids: Mapping[str, ActivationGrid],
        covariance: bool,
    ) -> None:
        node = graph.nodes[index]
        pixels = placement.pixels is not None and index == placement.pixels.conv  # its input comes padded
        self.index = index
        self.tensor = None if pixels else node.input[0]
        self._grid = None if self.tensor is None else grids[self.tensor]
        self._patches = InputPatches.of(node, layer_weights(graph, index, None).weight.shape, pixels)
        groups, width = self._patches.groups, self._patches.width
        self._count = 0
        self._float_sum, self._code_sum = (np.zeros(groups * width, np.int64) for _ in range(2))
        self._covariance = covariance and 4 * groups * width * width <= COVARIANCE_BYTES
        self._kept: list[NDArray[np.integer]] = []

    def bytes_an_image(self, sizes: Mapping[str, list[int]]) -> int:
        """About how many bytes of codes are kept of an image, given the sizes of tensors."""
        values = SAMPLED * self._patches.groups * self._patches.width
        shape = sizes.get(self.tensor or "", [])
        known = prod(shape[1:]) if shape else 0
        return self._covariance * self._dtype.itemsize * min(values, known or values)

    @property
    def _step(self) -> float:
        return 1.0 if self._grid is None else float(self._grid.scale)

    @property
    def _middle(self) -> int:
        """The number subtracted from codes before they are kept, so that they lie around zero."""
        grid = self._grid
        return 0 if grid is None else (grid.low + grid.high + 1) // 2 - int(grid.zero_point)

    @property
    def _reach(self) -> int:
        """The largest magnitude of such a code."""
        return 255 if self._grid is None else (self._grid.high - self._grid.low + 1) // 2

    @property
    def _dtype(self) -> np.dtype[np.int8] | np.dtype[np.int16]:
        return np.dtype(np.int8) if self._reach <= -np.iinfo(np.int8).min else np.dtype(np.int16)

    def add(self, values: NDArray[np.float32]) -> None:
        """Add the layer's float input for some images."""
        values = values.reshape(*values.shape, *(1,) * (4 - values.ndim))
        steps, codes = values, values
        if self._grid is not None:
            steps = values / self._grid.scale
            codes = (self._grid.quantize(values) - np.int32(self._grid.zero_point)).astype(np.float32)
        fractions = np.clip(np.rint(steps * np.float32(FRACTION)), -FARTHEST, FARTHEST)
        self._count += len(values) * prod(self._patches.positions(*values.shape[2:]))
        self._float_sum += self._patches.sums(fractions)
        self._code_sum += self._patches.sums(codes)
        if self._covariance:
            self._kept.append(self._smaller((codes - self._middle).astype(self._dtype)))

    def _smaller(self, maps: NDArray[np.integer]) -> NDArray[np.integer]:
        """The maps, or the patches that are sampled from them."""
        patches = len(maps) * min(SAMPLED, prod(self._patches.positions(*maps.shape[2:])))
        if maps.size <= patches * self._patches.groups * self._patches.width:
            return maps
        return self._patches.sampled(maps, -self._middle)

    def moments(self) -> InputMoments:
        """The means, and the covariance of the sampled patches if it is wanted."""
        return InputMoments(
            self._sampled_covariance() if self._covariance else None,
            self._float_sum / self._count * (self._step / FRACTION),
            self._code_sum / self._count * self._step,
        )

    def _sampled_covariance(self) -> NDArray[np.float32]:
        rows = [kept if kept.ndim == 3 else self._patches.sampled(kept, -self._middle) for kept in self._kept]
        return exact_covariance(np.concatenate(rows)) * np.float32(self._step**2)
