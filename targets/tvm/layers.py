"""What each ONNX operator becomes in integers, given the node's label, operands and attributes."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.errors import EngineError
from targets.tvm.graph import (
    Add,
    Assemble,
    AveragePool,
    Clip,
    Conv,
    Floats,
    MaxPool,
    Operator,
    Piece,
    Residual,
    Tensor,
    Window,
)
from targets.tvm.values import Constant, Pending, Quantized, Value, Weights
from targets.tvm.windows import window

Attributes = dict[str, Any]
_INT32 = 1 << 31


def positive(node: str, scale: float) -> float:
    """A scale as a number. Raises EngineError unless it is finite and above zero."""
    value = float(scale)
    if not isfinite(value) or value <= 0:
        raise EngineError(f"{node} has the scale {value}; scales are finite and above zero.")
    return value


def weights(
    node: str, values: NDArray[Any], scale: NDArray[Any], zero: Sequence[Value], attributes: Attributes
) -> Weights:
    """Weights behind a DequantizeLinear: int8, symmetric, per tensor or along axis 0."""
    zeros = [z.value for z in zero if isinstance(z, Constant)]
    if values.dtype != np.int8 or any(np.any(z) for z in zeros):
        raise EngineError(f"{node}: weights have to be int8 with zero point 0.")
    if scale.size not in (1, values.shape[0]) or (
        scale.ndim == 1 and scale.size > 1 and attributes.get("axis", 1) != 0
    ):
        raise EngineError(f"{node}: weights need one scale, or one for each output channel (axis 0).")
    scales = [positive(node, s) for s in scale.ravel()]
    return Weights(values, np.broadcast_to(np.asarray(scales, np.float64), values.shape[0]))


def conv(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """Conv with int8 weights and an optional float bias."""
    match operands:
        case [Quantized() as x, Weights() as w] | [Quantized() as x, Weights() as w, Constant()] if (
            w.values.ndim == 4
        ):
            bias = operands[2].value if len(operands) > 2 and isinstance(operands[2], Constant) else None
            return _conv(node, x, w, bias, attributes)
    raise EngineError(f"{node} needs a quantised input and int8 weights [K, C, R, S].")


def gemm(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """Gemm: a convolution whose kernel covers the whole input; channels go back from C, H, W order."""
    match operands:
        case [Quantized() as x, Weights() as w] | [Quantized() as x, Weights() as w, Constant()]:
            height, width, channels = x.shape
            shape = (len(w.values), height * width * channels)
            defaults = {"transB": 1, "transA": 0, "alpha": 1.0, "beta": 1.0}
            if w.values.shape == shape and all(
                attributes.get(k, 0 if k == "transB" else v) == v for k, v in defaults.items()
            ):
                kernel = replace(w, values=w.values.reshape(-1, channels, height, width))
                bias = operands[2].value if len(operands) > 2 and isinstance(operands[2], Constant) else None
                return replace(_conv(node, x, kernel, bias, {}), flat=True)
    raise EngineError(
        f"{node} needs a quantised input, int8 weights [K, C] with transB=1 and alpha = beta = 1."
    )


def _conv(node: str, x: Quantized, w: Weights, bias: NDArray[Any] | None, attributes: Attributes) -> Pending:
    tensor, count = x.whole(node), len(w.values)
    groups = attributes.get("group", 1)
    _, per_group, rows, columns = w.values.shape
    if not 0 < groups <= tensor.channels or per_group * groups != tensor.channels or count % groups:
        raise EngineError(
            f"{node}: weights {list(w.values.shape)} in {groups} groups do not fit {tensor.channels} inputs."
        )
    sliding, height, width = window(node, attributes, (rows, columns), tensor.height, tensor.width)
    unit = x.scale * w.scales
    offsets = np.zeros(count) if bias is None else np.rint(bias.astype(np.float64) / unit)
    if offsets.shape != (count,) or not np.isfinite(offsets).all():
        raise EngineError(f"{node}: the bias needs {count} finite values.")
    _check_accumulators(node, tensor, w.values, offsets, groups)
    integers = offsets.astype(np.int32)

    def finish(output: Tensor, scale: float, limits: Clip, residual: Residual | None) -> Operator:
        multiplier = (unit / scale).astype(np.float32)
        return Conv(node, tensor, output, w.values, integers, multiplier, sliding, groups, residual, limits)

    output = Tensor(f"{node} logits", height, width, count, (0,))
    single = height == width == 1
    logits = Conv(
        node, tensor, output, w.values, integers, unit.astype(np.float32), sliding, groups, logits=True
    )
    return Pending(node, (height, width, count), finish, fusable=True, logits=logits if single else None)


def _check_accumulators(
    node: str, x: Tensor, weight: NDArray[np.int8], bias: NDArray[Any], groups: int
) -> None:
    """Raise EngineError if a sum could leave int32."""
    furthest = np.broadcast_to([max(z, 255 - z) for z in x.zero_point], x.channels).reshape(groups, -1)
    sizes = np.abs(weight.astype(np.int64)).sum(axis=(2, 3)).reshape(groups, -1, weight.shape[1])
    largest = (sizes * furthest[:, None, :]).sum(axis=2).ravel() + np.abs(bias)
    if largest.max() >= _INT32:
        channel = int(largest.argmax())
        raise EngineError(
            f"{node}: the sum of output channel {channel} can reach {largest[channel]:.0f}, more than "
            "an int32 holds. Its bias or its number of inputs is too large for this input scale."
        )


def max_pool(node: str, x: Quantized, attributes: Attributes, name: str) -> MaxPool:
    """MaxPool keeps the grid, so it needs no QuantizeLinear behind it."""
    tensor = x.whole(node)
    sliding, height, width = _pool_window(node, tensor, attributes)
    return MaxPool(node, tensor, Tensor(name, height, width, tensor.channels, (tensor.zero,)), sliding)


def average_pool(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """AveragePool; cells outside the image count only with count_include_pad."""
    x = _quantized(node, operands)
    sliding, height, width = _pool_window(node, x.whole(node), attributes)
    cells = sliding.kernel[0] * sliding.kernel[1]
    counts = np.arange(1, cells + 1)
    if attributes.get("count_include_pad", 0):
        if attributes.get("ceil_mode", 0):
            raise EngineError(f"{node}: ceil_mode together with count_include_pad is not supported.")
        counts = np.full(cells, cells)
    return _average(node, x, sliding, (height, width), counts)


def global_average_pool(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """GlobalAveragePool: one window over the whole map."""
    x = _quantized(node, operands)
    kernel = (x.tensor.height, x.tensor.width)
    return _average(node, x, Window(kernel), (1, 1), np.arange(1, kernel[0] * kernel[1] + 1))


def reduce_mean(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """ReduceMean over height and width."""
    axes = attributes.get("axes")
    if len(operands) > 1 and isinstance(operands[1], Constant):
        axes = operands[1].value.tolist()
    if axes is None or sorted(a % 4 for a in axes) != [2, 3]:
        raise EngineError(f"{node}: only the mean over height and width (axes 2 and 3) has an integer form.")
    pooled = global_average_pool(node, operands[:1], {})
    assert isinstance(pooled, Pending)  # noqa: S101 -- it makes nothing else
    return replace(pooled, flat=not attributes.get("keepdims", 1))


def _average(
    node: str, x: Quantized, sliding: Window, size: tuple[int, int], counts: NDArray[Any]
) -> Pending:
    tensor = x.whole(node)

    def finish(output: Tensor, scale: float, limits: Clip, residual: Residual | None) -> Operator:
        assert residual is None  # noqa: S101 -- not fusable
        multipliers: Floats = (x.scale / (counts * scale)).astype(np.float32)
        return AveragePool(node, tensor, output, sliding, multipliers, limits)

    return Pending(node, (*size, tensor.channels), finish)


def _pool_window(node: str, x: Tensor, attributes: Attributes) -> tuple[Window, int, int]:
    kernel = tuple(attributes.get("kernel_shape", ()))
    if (
        len(kernel) != 2
        or set(attributes.get("dilations", (1, 1))) != {1}
        or attributes.get("storage_order", 0)
    ):
        raise EngineError(f"{node}: pooling needs a kernel_shape of two numbers, without dilation.")
    return window(node, attributes, (kernel[0], kernel[1]), x.height, x.width)


def add(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Add: a residual of the convolution in front of it, or of two quantised tensors."""
    match operands:
        case [Pending() as sum_, Quantized() as other] | [Quantized() as other, Pending() as sum_]:
            if not sum_.fusable or sum_.residual is not None or (sum_.low, sum_.high) != (-inf, inf):
                raise EngineError(
                    f"{node} cannot be joined to {sum_.node}. Quantise the result of {sum_.node}."
                )
        case [Quantized() as first, Quantized() as other]:
            sum_ = _identity(node, first)
        case _:
            raise EngineError(
                f"{node} needs quantised inputs: one at least, where the other is a Conv's result."
            )
    if sum_.shape != other.shape:
        raise EngineError(f"{node} adds {sum_.shape} and {other.shape}; the shapes have to be equal.")
    return replace(sum_, residual=other, fusable=False, logits=None)


def _identity(node: str, x: Quantized) -> Pending:
    tensor = x.whole(node)

    def finish(output: Tensor, scale: float, limits: Clip, residual: Residual | None) -> Operator:
        multiplier = float(np.float32(x.scale / scale))
        if residual is None:
            return Assemble(node, output, (Piece(tensor, multiplier, 0),), limits)
        return Add(node, tensor, output, multiplier, residual, limits)

    return Pending(node, x.shape, finish, fusable=True)


def requantize(node: str, x: Quantized) -> Pending:
    """A tensor about to be put on another grid."""
    return replace(_identity(node, x), flat=x.flat)


def relu(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Relu: the lower bound of what comes before."""
    return _bounded(node, operands, 0.0, inf)


def clip(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- opset 11 has none
    """Clip with constant bounds, such as ReLU6."""
    bounds = [float(v.value.item()) for v in operands[1:] if isinstance(v, Constant) and v.value.size == 1]
    if len(bounds) != 2 or len(operands) != 3 or bounds[0] > bounds[1]:
        raise EngineError(f"{node} needs two constant bounds, the lower one first.")
    return _bounded(node, operands[:1], *bounds)


def _bounded(node: str, operands: list[Value], low: float, high: float) -> Pending:
    match operands:
        case [Pending() as value]:
            pass
        case [Quantized() as quantized]:
            value = _identity(node, quantized)
        case _:
            raise EngineError(f"{node} needs a quantised input, or the result of a quantised layer.")
    return replace(
        value,
        low=min(max(value.low, low), high),
        high=max(min(value.high, high), low),
        logits=None,
        fusable=False,
    )


def concat(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """Concat along the channels; each input comes from its own grid."""
    parts = [x for x in operands if isinstance(x, Quantized)]
    if len(parts) != len(operands) or attributes.get("axis") not in (1, -3):
        raise EngineError(f"{node} needs quantised inputs and axis 1, the channels.")
    height, width, _ = parts[0].shape
    tensors = [x.whole(node) for x in parts]
    if any((t.height, t.width) != (height, width) for t in tensors):
        raise EngineError(f"{node} joins maps of different sizes.")
    starts = [sum(t.channels for t in tensors[:i]) for i in range(len(tensors))]

    def finish(output: Tensor, scale: float, limits: Clip, residual: Residual | None) -> Operator:
        assert residual is None  # noqa: S101 -- not fusable
        pieces = tuple(
            Piece(t, float(np.float32(x.scale / scale)), start)
            for x, t, start in zip(parts, tensors, starts, strict=True)
        )
        return Assemble(node, output, pieces, limits)

    return Pending(node, (height, width, starts[-1] + tensors[-1].channels), finish)


def strided_slice(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Slice that takes every n-th row and column, as in a shortcut without parameters."""
    x = _quantized(node, operands[:1])
    match [v.value.tolist() for v in operands[1:] if isinstance(v, Constant)]:
        case [starts, ends, axes, steps] if len(operands) == 5:
            stride = list(x.stride)
            for start, end, axis, by in zip(starts, ends, axes, steps, strict=True):
                length = (1, x.shape[2], x.shape[0], x.shape[1])[axis % 4]
                if start or end < length or (by != 1 and axis % 4 < 2) or not 0 < by < length + 1:
                    raise EngineError(
                        f"{node}: only whole rows and columns with a step have an integer form."
                    )
                if axis % 4 >= 2:
                    stride[axis % 4 - 2] *= by
            return replace(x, stride=(stride[0], stride[1]))
    raise EngineError(f"{node} needs constant starts, ends, axes and steps.")


def pad_channels(
    node: str, x: Quantized, pads: NDArray[Any], fill: list[Value], attributes: Attributes, name: str
) -> Assemble:
    """Pad with zero channels: a copy into a wider tensor on the same grid."""
    zero = all(not np.any(v.value) for v in fill if isinstance(v, Constant))
    amounts = [int(p) for p in pads.ravel()]
    if len(amounts) != 8 or any(amounts[i] for i in (0, 2, 3, 4, 6, 7)) or min(amounts) < 0 or not zero:
        raise EngineError(f"{node}: only zero channels can be padded (pads {amounts}).")
    if attributes.get("mode", b"constant") != b"constant":
        raise EngineError(f"{node}: only constant padding has an integer form.")
    height, width, channels = x.shape
    output = Tensor(name, height, width, channels + amounts[1] + amounts[5], (x.tensor.zero,))
    return Assemble(node, output, (Piece(x.tensor, 1.0, amounts[1], x.stride),))


def flatten(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """Flatten, Squeeze or Reshape to [N, features]."""
    if attributes.get("axis", 1) != 1:
        raise EngineError(f"{node}: only flattening to [N, features] is supported.")
    match operands:
        case [Quantized() as x] | [Quantized() as x, Constant()]:
            return replace(x, flat=True)
        case [Pending() as p] | [Pending() as p, Constant()] if p.shape[:2] == (1, 1):
            return replace(p, flat=True)
    raise EngineError(f"{node} needs a quantised input.")


def identity(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- nothing matters
    """Identity, and Dropout in inference."""
    if not operands:
        raise EngineError(f"{node} has no input.")
    return operands[0]


def _quantized(node: str, operands: list[Value]) -> Quantized:
    match operands:
        case [Quantized() as x, *_]:
            return x
    raise EngineError(f"{node} needs a quantised input: QuantizeLinear and DequantizeLinear in front of it.")
