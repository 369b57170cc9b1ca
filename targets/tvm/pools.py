"""Translates ONNX pooling to integers."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.errors import EngineError, NoIntegerForm
from targets.tvm import convert
from targets.tvm.convert import quantized
from targets.tvm.integer_graph import Operator
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.operators.window_pooling import AveragePool, ChannelMax, MaxPool
from targets.tvm.tensors import Floats, Tensor
from targets.tvm.values import (
    Attributes,
    Constant,
    Epilogue,
    Pending,
    Quantized,
    Reader,
    SameGrid,
    Value,
    Weights,
)
from targets.tvm.windows import window


def max_pool(node: str, operands: list[Value], attributes: Attributes) -> SameGrid:
    """MaxPool: the largest integer is the largest number."""
    x = quantized(node, operands)
    tensor = x.whole(node)
    sliding, height, width = _pool_window(node, tensor, attributes)

    def finish(name: str) -> MaxPool:
        return MaxPool(node, tensor, Tensor(name, height, width, tensor.channels, (tensor.zero,)), sliding)

    return SameGrid(x, finish)


def average_pool(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """AveragePool; cells outside the image count only with count_include_pad."""
    x = quantized(node, operands)
    sliding, height, width = _pool_window(node, x.whole(node), attributes)
    cells = sliding.kernel[0] * sliding.kernel[1]
    counts = np.arange(1, cells + 1)
    if attributes.get("count_include_pad", 0):
        if attributes.get("ceil_mode", 0):  # TVM's float operator divides by cells beyond the padding, too
            raise EngineError(
                f"{node}: ceil_mode together with count_include_pad is not compiled. Put a Pad in front."
            )
        counts = np.full(cells, cells)
    return _average(node, x, sliding, (height, width), counts)


def global_average_pool(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """GlobalAveragePool: one window over the whole map."""
    x = quantized(node, operands)
    kernel = (x.tensor.height, x.tensor.width)
    return _average(node, x, SlidingWindow(kernel), (1, 1), np.arange(1, kernel[0] * kernel[1] + 1))


def reduce_mean(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """ReduceMean over height and width, or over channels: a convolution whose weights are all 1."""
    axes = _axes(operands, attributes)
    if axes == [1] and attributes.get("keepdims", 1):
        channels = quantized(node, operands).shape[2]
        ones = Weights(np.ones((1, channels, 1, 1), np.int8), np.array([1 / channels]))
        return convert.conv(node, [operands[0], ones], {})
    if axes != [2, 3]:
        raise NoIntegerForm(
            f"{node}: only the mean over height and width (axes 2 and 3), or over channels that stay a"
            " dimension, has an integer form."
        )
    pooled = global_average_pool(node, operands[:1], {})
    assert isinstance(pooled, Pending)  # noqa: S101 -- it makes nothing else
    return replace(pooled, flat=not attributes.get("keepdims", 1))


def reduce_max(node: str, operands: list[Value], attributes: Attributes) -> SameGrid:
    """ReduceMax over channels."""
    x = quantized(node, operands)
    tensor = x.whole(node)
    if _axes(operands, attributes) != [1] or not attributes.get("keepdims", 1) or x.flat:
        raise NoIntegerForm(f"{node}: only the largest of the channels, which stay a dimension, is there.")
    output = (tensor.height, tensor.width, 1, (tensor.zero,))
    return SameGrid(x, lambda name: ChannelMax(node, tensor, Tensor(name, *output)))


def _axes(operands: list[Value], attributes: Attributes) -> list[int]:
    """The axes of a reduction, in order; none where they are not known."""
    axes = attributes.get("axes", ())
    if len(operands) > 1 and isinstance(operands[1], Constant):
        axes = operands[1].value.tolist()
    return sorted(int(a) % 4 for a in axes)


def global_max_pool(node: str, operands: list[Value], attributes: Attributes) -> SameGrid:  # noqa: ARG001 -- has none
    """GlobalMaxPool: one window over the whole map."""
    x = quantized(node, operands)
    tensor = x.whole(node)
    window_ = SlidingWindow((tensor.height, tensor.width))
    zero = tensor.zero_point
    return SameGrid(x, lambda name: MaxPool(node, tensor, Tensor(name, 1, 1, tensor.channels, zero), window_))


def _average(
    node: str, x: Quantized, sliding: SlidingWindow, size: tuple[int, int], counts: NDArray[Any]
) -> Pending:
    tensor = x.whole(node)
    if len(counts) * tensor.highest >= 1 << 31:
        raise NoIntegerForm(f"{node}: the sum of {len(counts)} values can be more than an int32 holds.")
    sums = Tensor(f"{node} sums", *size, tensor.channels, (0,))
    real = AveragePool(node, tensor, sums, sliding, (x.scale / counts).astype(np.float32), real=True)

    def finish(end: Epilogue) -> Operator:
        multipliers: Floats = (x.scale / (counts * end.scale)).astype(np.float32)
        return AveragePool(node, tensor, end.output, sliding, multipliers, end.clip)

    return Pending(node, (*size, tensor.channels), finish, real=real)


def _pool_window(node: str, x: Tensor, attributes: Attributes) -> tuple[SlidingWindow, int, int]:
    kernel = tuple(attributes.get("kernel_shape", ()))
    if (
        len(kernel) != 2
        or set(attributes.get("dilations", (1, 1))) != {1}
        or attributes.get("storage_order", 0)
    ):
        raise NoIntegerForm(f"{node}: pooling needs a kernel_shape of two numbers, without dilation.")
    return window(node, attributes, (kernel[0], kernel[1]), x.height, x.width)


READERS: dict[str, Reader] = {
    "MaxPool": max_pool,
    "GlobalMaxPool": global_max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "ReduceMean": reduce_mean,
    "ReduceMax": reduce_max,
}
