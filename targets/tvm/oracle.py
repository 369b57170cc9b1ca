"""The numeric contract in NumPy: what every kernel has to equal, bit for bit."""

from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from targets.tvm.integer_graph import (
    Add,
    Assemble,
    AveragePool,
    ChannelMax,
    Clip,
    Computed,
    Conv,
    Dequantise,
    Image,
    IntegerGraph,
    Interpolate,
    Island,
    Lookup,
    MaxPool,
    Multiply,
    Neighbours,
    Operator,
    Pick,
    PixelShuffle,
    Pointwise,
    Quantise,
    Rectify,
    Residual,
    Resize,
    Tensor,
)

Bytes = NDArray[np.uint8]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Array = NDArray[Any]


def run(graph: IntegerGraph, images: Bytes) -> Floats:
    """Return logits [N, classes] for images [N, H, W, C]."""
    values: dict[str, Array] = {graph.image.name: images, graph.pixels: images}
    for op in graph.operators:
        if not isinstance(op, Image):
            values |= evaluate(op, values)
    logits: Floats = values[graph.logits.name].reshape(len(images), -1)
    return logits


def evaluate(op: Operator, values: Mapping[str, Array]) -> dict[str, Array]:
    """Compute one operator; `values` holds its inputs by name: [N, H, W, C], islands' as in ONNX."""
    if isinstance(op, Island):
        from targets.tvm.floats import island_oracle

        batches = {d.name: values[d.name].reshape(-1, *d.shape) for d in op.inputs}
        return island_oracle.evaluate(op, batches)
    if isinstance(op, Image):
        raise ValueError("the image is an input, it is not computed")
    return {op.output.name: _computed(op, values)}


def _computed(op: Computed, values: Mapping[str, Array]) -> Array:
    match op:
        case Assemble():
            result: Array = _assemble(op, values)
        case Conv() if op.real:
            result = _real_sums(op, values)
        case Conv():
            result = _sums(op, values)
        case Add() | Multiply() | Rectify() | Lookup():
            result = _pointwise(op, values)
        case MaxPool() | AveragePool() | ChannelMax():
            result = _pool(op, values[op.input.name])
        case Pick() | Interpolate() | PixelShuffle():
            result = _resize(op, values[op.input.name])
        case Dequantise():
            result = _dequantise(op, values[op.input.name])
        case Quantise():
            result = _quantise(op, values[op.input.name])
        case _:
            assert_never(op)
    return result


def _real_sums(op: Conv, values: Mapping[str, Array]) -> Floats:
    return accumulate(op, values[op.input.name]).astype(np.float32) * op.multiplier


def _sums(op: Conv | Add, values: Mapping[str, Array]) -> Bytes:
    x, residual = values[op.input.name], op.residual
    total = accumulate(op, x) if isinstance(op, Conv) else x.astype(np.int32) - op.input.zero
    scaled = _scaled(total, np.asarray(op.multiplier, np.float32), residual, values)
    return _store(scaled, op.output, op.clip)


def accumulate(op: Conv, x: Bytes) -> NDArray[np.int32]:
    """sum((x - zx) * w) + bias as int32 [N, H, W, K]. Exact: every partial sum is an integer below 2**53."""
    (kh, kw), (sh, sw), (dh, dw) = op.window.kernel, op.window.stride, op.window.dilation
    height, width = op.output.height, op.output.width
    padded = _padded(op.input, op.window.pad, op.window.reach(height, width), x)
    count, per_group = op.weight.shape[:2]
    total = np.zeros((len(x), height, width, op.groups, count // op.groups))
    for r in range(kh):
        for s in range(kw):
            rows, columns = (
                slice(r * dh, r * dh + (height - 1) * sh + 1, sh),
                slice(s * dw, s * dw + (width - 1) * sw + 1, sw),
            )
            tap = padded[:, rows, columns].reshape(len(x), height, width, op.groups, 1, per_group)
            weight = op.weight[:, :, r, s].astype(np.float64).reshape(op.groups, -1, per_group)
            total += np.matmul(tap, weight.transpose(0, 2, 1))[..., 0, :]
    return (total.reshape(len(x), height, width, count) + op.bias).astype(np.int32)


def _padded(tensor: Tensor, pad: tuple[int, int], reach: tuple[int, int], x: Bytes) -> Doubles:
    """x - zx with zeros where the window leaves the image."""
    padded = np.zeros((len(x), *reach, tensor.channels))
    height, width = (min(n, r - p) for n, r, p in zip((tensor.height, tensor.width), reach, pad, strict=True))
    centred = x[:, :height, :width].astype(np.float64) - np.asarray(tensor.zero_point)
    padded[:, pad[0] : pad[0] + height, pad[1] : pad[1] + width] = centred
    return padded


def _scaled(
    total: NDArray[np.int32],
    multiplier: Floats,
    residual: Residual | None,
    values: Mapping[str, Array],
) -> Floats:
    sums = total.astype(np.float32)
    if residual is None:
        return sums * multiplier
    centred = (values[residual.tensor.name].astype(np.int32) - residual.tensor.zero).astype(np.float32)
    return fused_multiply_add(sums, multiplier, centred * np.float32(residual.multiplier))


def fused_multiply_add(a: Floats, b: Floats | np.float32, c: Floats) -> Floats:
    """a * b + c rounded once to float32.

    The product of two float32 is exact in float64. The sum is rounded to odd there (Boldo and Melquiond 2008,
    "Emulation of FMA and correctly rounded sums"), so that rounding it to float32 is as if done once.
    """
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)
    bits = total.view(np.int64)
    inexact_and_even = (error != 0) & (bits & 1 == 0)
    towards = np.where((error > 0) == (total > 0), 1, -1)
    result: Floats = (bits + np.where(inexact_and_even, towards, 0)).view(np.float64).astype(np.float32)
    return result


def _store(value: Floats, output: Tensor, clip: Clip) -> Bytes:
    stored: Bytes = np.clip(np.rint(value.astype(np.float64)) + output.zero, clip.low, clip.high).astype(
        np.uint8
    )
    return stored


def _multiply(op: Multiply, x: Bytes, factor: Bytes) -> Bytes:
    products = (x.astype(np.int32) - op.input.zero) * (factor.astype(np.int32) - op.factor.zero)
    return _store(products.astype(np.float32) * np.float32(op.multiplier), op.output, op.clip)


def _pointwise(op: Pointwise, values: Mapping[str, Array]) -> Bytes:
    x: Bytes = values[op.input.name]
    match op:
        case Add():
            return _sums(op, values)
        case Multiply():
            return _multiply(op, x, values[op.factor.name])
        case Rectify():
            return _rectify(op, x)
        case Lookup():
            found: Bytes = op.table[x]
            return found
        case _:
            assert_never(op)


def _rectify(op: Rectify, x: Bytes) -> Bytes:
    centred = (x.astype(np.int32) - op.input.zero).astype(np.float32)
    return _store(centred * np.where(centred < 0, op.slopes, np.float32(op.multiplier)), op.output, op.clip)


def _resize(op: Resize, x: Bytes) -> Bytes:
    match op:
        case Pick():
            return x[:, op.rows][:, :, op.columns][..., op.channels]
        case Interpolate():
            return _interpolate(op, x)
        case PixelShuffle():
            return _pixels_of_channels(x, op.block, op.channels_first)
        case _:
            assert_never(op)


def _pixels_of_channels(x: Array, block: int, channels_first: bool = False) -> Array:
    count, height, width, channels = x.shape
    size = (channels // block**2, block, block) if channels_first else (block, block, channels // block**2)
    parts = x.reshape(count, height, width, *size)
    order = (0, 1, 4, 2, 5, 3) if channels_first else (0, 1, 3, 2, 4, 5)
    return parts.transpose(order).reshape(count, height * block, width * block, -1)


def _interpolate(op: Interpolate, x: Bytes) -> Bytes:
    centred = x.astype(np.int32) - op.input.zero
    between_rows = _between(centred, op.rows, axis=1)
    total = _between(between_rows, op.columns, axis=2)
    return _store(total.astype(np.float32) * np.float32(op.multiplier), op.output, op.clip)


def _between(x: NDArray[np.int32], samples: Neighbours, axis: int) -> NDArray[np.int32]:
    share = samples.share.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    first, second = np.take(x, samples.first, axis), np.take(x, samples.second, axis)
    found: NDArray[np.int32] = first * (samples.parts - share) + second * share
    return found


def _pool(op: MaxPool | AveragePool | ChannelMax, x: Bytes) -> Bytes:
    match op:
        case MaxPool():
            return _max_pool(op, x)
        case AveragePool():
            return _average_pool(op, x)
        case ChannelMax():
            largest: Bytes = x.max(axis=3, keepdims=True)
            return largest
        case _:
            assert_never(op)


def _max_pool(op: MaxPool, x: Bytes) -> Bytes:
    result = np.zeros((len(x), op.output.height, op.output.width, op.output.channels), np.uint8)
    for y in range(op.output.height):
        for column in range(op.output.width):
            result[:, y, column] = _cells(op, x, y, column).max(axis=(1, 2))
    return result


def _average_pool(op: AveragePool, x: Bytes) -> Bytes:
    value = np.zeros((len(x), op.output.height, op.output.width, op.output.channels), np.float32)
    for y in range(op.output.height):
        for column in range(op.output.width):
            cells = _cells(op, x, y, column).astype(np.int32) - op.input.zero
            count = cells.shape[1] * cells.shape[2]
            value[:, y, column] = cells.sum(axis=(1, 2)).astype(np.float32) * op.multipliers[count - 1]
    return _store(value, op.output, op.clip)


def _cells(op: MaxPool | AveragePool, x: Bytes, row: int, column: int) -> Bytes:
    """The part of a window that lies inside the image."""
    (kh, kw), (sh, sw), (ph, pw) = op.window.kernel, op.window.stride, op.window.pad
    top, left = row * sh - ph, column * sw - pw
    return x[:, max(top, 0) : top + kh, max(left, 0) : left + kw]


def _dequantise(op: Dequantise, x: Array) -> Floats:
    """Channels first, in the shape of the output with all images in front."""
    numbers = x if op.real else (x.astype(np.int32) - op.input.zero).astype(np.float32) * np.float32(op.scale)
    numbers = _pixels_of_channels(numbers, op.block)
    return np.ascontiguousarray(numbers.transpose(0, 3, 1, 2).reshape(-1, *op.output.shape))


def _quantise(op: Quantise, x: Array) -> Bytes:
    planes = x.reshape(-1, op.output.channels, op.output.height, op.output.width)
    steps = (planes / np.float32(op.scale)).astype(np.float64).transpose(0, 2, 3, 1)
    stored: Bytes = np.clip(np.rint(steps) + op.output.zero, 0, 255).astype(np.uint8)
    return stored


def _assemble(op: Assemble, values: Mapping[str, Array]) -> Bytes:
    first = values[op.pieces[0].tensor.name]
    result = np.full(
        (len(first), op.output.height, op.output.width, op.output.channels), op.output.zero, np.uint8
    )
    for piece in op.pieces:
        centred = (
            values[piece.tensor.name][:, :: piece.stride[0], :: piece.stride[1]].astype(np.int32)
            - piece.tensor.zero
        )
        scaled = centred.astype(np.float32) * np.float32(piece.multiplier)
        if piece.affine is not None:
            factors, addends = piece.affine.multiplier, piece.affine.offset
            scaled = fused_multiply_add(centred.astype(np.float32), factors, addends)
        result[..., piece.channel : piece.channel + piece.tensor.channels] = _store(
            scaled, op.output, op.clip
        )
    return result
