"""Translates ONNX operators to integers, given a node's label, operands and attributes."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.register_functions import RegisterFunction
from targets.errors import EngineError, NoIntegerForm
from targets.tvm.integer_graph import Operator
from targets.tvm.operators.assembling import Assemble, Piece
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Add
from targets.tvm.tensors import Tensor
from targets.tvm.values import Attributes, Constant, Epilogue, Pending, Quantized, Reader, Value, Weights
from targets.tvm.windows import window

_INT32 = 1 << 31


def positive(node: str, scale: float) -> float:
    """A scale as a number. Raises EngineError unless it is finite and above zero."""
    value = float(scale)
    if not isfinite(value) or value <= 0:
        raise EngineError(f"{node} has the scale {value}; scales are finite and above zero.")
    return value


def constant(
    node: str, values: NDArray[Any], scale: NDArray[Any], zero: Sequence[Value], attributes: Attributes
) -> Value:
    """A constant behind a DequantizeLinear: int8 weights, or a bias stored as int32."""
    if values.dtype != np.int32:
        return weights(node, values, scale, zero, attributes)
    if values.ndim != 1 or scale.size not in (1, values.size):
        raise EngineError(f"{node}: an int32 bias has one dimension, and one scale or one for each value.")
    return Constant(values * scale.astype(np.float64).ravel())


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
    raise NoIntegerForm(f"{node} needs a quantised input and int8 weights [K, C, R, S].")


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
    raise NoIntegerForm(
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

    output = Tensor(f"{node} sums", height, width, count, (0,))
    real = Conv(node, tensor, output, w.values, integers, unit.astype(np.float32), sliding, groups, real=True)

    def finish(end: Epilogue) -> Operator:
        applied = end.function(count)
        multiplier = (unit if applied else unit / end.scale).astype(np.float32)
        return replace(
            real,
            output=end.output,
            multiplier=multiplier,
            residual=end.residual,
            clip=end.clip,
            real=False,
            applied=applied,
        )

    return Pending(node, (height, width, count), finish, fusable=True, real=real)


def applied(value: Pending, function: RegisterFunction) -> Pending:
    """Apply a function to a convolution's sum. The result's channels can still be multiplied."""
    return replace(value, applied=function, real=None, fusable=False, scalable=True)


def _check_accumulators(
    node: str, x: Tensor, weight: NDArray[np.int8], bias: NDArray[Any], groups: int
) -> None:
    """Raise EngineError if a sum could leave int32."""
    furthest = np.broadcast_to([max(z, x.highest - z) for z in x.zero_point], x.channels)
    furthest = furthest.reshape(groups, -1)
    sizes = np.abs(weight.astype(np.int64)).sum(axis=(2, 3)).reshape(groups, -1, weight.shape[1])
    largest = (sizes * furthest[:, None, :]).sum(axis=2).ravel() + np.abs(bias)
    if largest.max() >= _INT32:
        channel = int(largest.argmax())
        raise EngineError(
            f"{node}: the sum of output channel {channel} can reach {largest[channel]:.0f}, more than "
            "an int32 holds. Its bias or its number of inputs is too large for this input scale."
        )


def copied(node: str, x: Quantized) -> Pending:
    """x as a sum that is not yet rounded: for another grid, an addition or a factor for each channel."""
    tensor = x.whole(node)

    def finish(end: Epilogue) -> Operator:
        multiplier = float(np.float32(x.scale / end.scale))
        if end.residual is None:
            affine = end.affine(x.scale, 0, tensor.channels)
            return Assemble(node, end.output, (Piece(tensor, multiplier, 0, affine=affine),), end.clip)
        return Add(node, tensor, end.output, multiplier, end.residual, end.clip)

    return Pending(node, x.shape, finish, fusable=True, scalable=True, flat=x.flat)


def relu(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Relu: a lower bound on its input."""
    return _bounded(node, operands, 0.0, inf)


def clip(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- opset 11 has none
    """Clip with constant bounds, such as ReLU6."""
    bounds = [float(v.value.item()) for v in operands[1:] if isinstance(v, Constant) and v.value.size == 1]
    if len(bounds) != 2 or len(operands) != 3 or bounds[0] > bounds[1]:
        raise NoIntegerForm(f"{node} needs two constant bounds, the lower one first.")
    return _bounded(node, operands[:1], *bounds)


def _bounded(node: str, operands: list[Value], low: float, high: float) -> Pending:
    match operands:
        case [Pending() as value]:
            pass
        case [Quantized() as quantized]:
            value = copied(node, quantized)
        case _:
            raise NoIntegerForm(f"{node} needs a quantised input, or the result of a quantised layer.")
    return replace(
        value,
        low=min(max(value.low, low), high),
        high=max(min(value.high, high), low),
        real=None,
        fusable=False,
        scalable=False,
    )


def quantized(node: str, operands: list[Value]) -> Quantized:
    """Return the first operand. Raises NoIntegerForm if it is not an integer tensor."""
    match operands:
        case [Quantized() as x, *_]:
            return x
    raise NoIntegerForm(
        f"{node} needs a quantised input: QuantizeLinear and DequantizeLinear in front of it."
    )


READERS: dict[str, Reader] = {"Conv": conv, "Gemm": gemm, "Relu": relu, "Clip": clip}
