"""A factor and an addend for each channel: batch norms, and the operators that replace them in exports."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.errors import EngineError, NoIntegerForm
from targets.tvm.convert import copied
from targets.tvm.integer_graph import Operator
from targets.tvm.operators.element_by_element import Rectify
from targets.tvm.values import Attributes, Constant, Epilogue, Pending, Quantized, Reader, Value

Doubles = NDArray[np.float64]


def batch_normalization(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """BatchNormalization in inference: a factor and an addend for each channel."""
    value = _scalable(node, operands[0])
    vectors = [v.value.astype(np.float64).ravel() for v in operands[1:] if isinstance(v, Constant)]
    if len(vectors) != 4 or any(v.shape != value.shape[2:] for v in vectors):
        raise NoIntegerForm(f"{node} needs constant scale, bias, mean and variance of its channels.")
    scale, bias, mean, variance = vectors
    with np.errstate(all="ignore"):  # looked at by `scaled`
        gain = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    return scaled(node, value, gain, bias - mean * gain)


def scaled(node: str, operand: Value, gain: Doubles, shift: Doubles) -> Pending:
    """gain * x + shift, one number a channel each. Raises EngineError where they are not finite."""
    value = _scalable(node, operand)
    if not (np.isfinite(gain).all() and np.isfinite(shift).all()):
        raise EngineError(f"{node}: it has a constant that is not finite, or a variance that is negative.")
    if value.gain is not None and value.shift is not None:
        gain, shift = value.gain * gain, value.shift * gain + shift
    if value.applied is not None and shift.any():
        raise NoIntegerForm(f"{node}: behind a function of sums, channels can be multiplied, not added to.")
    return replace(value, gain=gain, shift=shift, fusable=False)


def prelu(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """PRelu with one slope for each channel."""
    match operands:
        case [Quantized() as x, Constant(slope)]:
            tensor, slopes = x.whole(node), per_channel(node, x, slope)
        case _:
            raise NoIntegerForm(f"{node} needs a quantised input and constant slopes.")
    if not np.isfinite(slopes).all():
        raise EngineError(f"{node}: its slopes are not finite.")

    def finish(end: Epilogue) -> Operator:
        multiplier, factors = float(np.float32(x.scale / end.scale)), slopes * x.scale / end.scale
        return Rectify(node, tensor, end.output, multiplier, factors.astype(np.float32), end.clip)

    return Pending(node, x.shape, finish, flat=x.flat)


def with_constant(kind: str, node: str, operands: list[Value]) -> Value | None:
    """Add, Sub, Mul or Div of a tensor and a constant, of one number or one a channel; None for others."""
    match kind, operands:
        case "Add", [value, Constant(c)] | [Constant(c), value]:
            c = per_channel(node, value, c)
            return scaled(node, value, np.ones_like(c), c)
        case "Sub", [value, Constant(c)]:
            c = per_channel(node, value, c)
            return scaled(node, value, np.ones_like(c), -c)
        case "Sub", [Constant(c), value]:
            c = per_channel(node, value, c)
            return scaled(node, value, -np.ones_like(c), c)
        case "Mul", [value, Constant(c)] | [Constant(c), value]:
            c = per_channel(node, value, c)
            return scaled(node, value, c, np.zeros_like(c))
        case "Div", [value, Constant(c)]:
            with np.errstate(all="ignore"):
                c = 1 / per_channel(node, value, c)
            return scaled(node, value, c, np.zeros_like(c))
    return None


def per_channel(node: str, operand: Value, constant: NDArray[Any]) -> Doubles:
    """A constant as one number for each channel of the other operand."""
    value = _scalable(node, operand)
    channels = value.shape[2]
    shapes = [(channels,), (1, channels)] if value.flat else [(channels, 1, 1), (1, channels, 1, 1)]
    rank = 2 if value.flat else 4
    if constant.shape not in shapes and (constant.size != 1 or constant.ndim > rank):
        raise NoIntegerForm(f"{node} needs a constant of one number, or of one for each channel.")
    found: Doubles = np.broadcast_to(constant.astype(np.float64).ravel(), channels).copy()
    return found


def _scalable(node: str, operand: Value) -> Pending:
    match operand:
        case Pending(scalable=True) as value:
            return value
        case Quantized() as x:
            return copied(node, x)
    raise NoIntegerForm(f"{node} needs a quantised input, or a Concat of quantised inputs.")


READERS: dict[str, Reader] = {"BatchNormalization": batch_normalization, "PRelu": prelu}
