"""Writes the functions of sums, step for step as `operators.sum_functions` defines them."""

from tvm import tirx

from calibration.register_functions import RegisterFunction
from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.operators.sum_functions import (
    EXP2,
    LARGEST_POWER,
    MINUS_LOG2E,
    SIXTH,
)


def in_steps(k: Emitter, function: RegisterFunction, s: Expr, factor: Expr, lanes: int) -> Expr:
    """The function of a vector of sums times `factor`."""
    s = k.let(s)
    if not function.has_exponential:
        gate = _clipped(_fma(k, s, _all(SIXTH, lanes), _all(0.5, lanes), lanes), 0.0, 1.0, lanes)
    else:
        gate = _all(1.0, lanes) / _one_and_power(k, s, lanes)
    return (s * factor) * gate if function.is_unbounded else gate * factor


def _one_and_power(k: Emitter, s: Expr, lanes: int) -> Expr:
    """1 + exp(-s). Scaling by a power of two is exact, so that an fma rounds as the sum alone does.

    Written as a sum, TIR would make an fma of its own of it, which does not lower beside float operators.
    """
    u = k.let(_clipped(s * _all(MINUS_LOG2E, lanes), -LARGEST_POWER, LARGEST_POWER, lanes))
    whole = k.let(k.call(f"float32x{lanes}", f"llvm.roundeven.v{lanes}f32", u))
    part = k.let(u - whole)
    value = _all(EXP2[0], lanes)
    for coefficient in EXP2[1:]:
        value = k.let(_fma(k, value, part, _all(coefficient, lanes), lanes))
    exponent = whole.astype(f"int32x{lanes}") + splat(tirx.const(127, "int32"), lanes)
    bits = tirx.shift_left(exponent, splat(tirx.const(23, "int32"), lanes))
    return _fma(k, value, tirx.reinterpret(f"float32x{lanes}", bits), _all(1.0, lanes), lanes)


def _clipped(value: Expr, low: float, high: float, lanes: int) -> Expr:
    return tirx.min(tirx.max(value, _all(low, lanes)), _all(high, lanes))


def _fma(k: Emitter, a: Expr, b: Expr, c: Expr, lanes: int) -> Expr:
    return k.call(f"float32x{lanes}", f"llvm.fma.v{lanes}f32", a, b, c)


def _all(value: float, lanes: int) -> Expr:
    return splat(tirx.const(value, "float32"), lanes)
