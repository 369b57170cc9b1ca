"""exp, log, tanh, erf and the like as float32 additions, multiplications and bit operations.

Each is the same sequence of IEEE 754 operations on every machine. How far each is from the exact result is in
tests/targets/tvm/floats/test_mathematics.py.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from tvm import tirx
from tvm.ir.op import register_op_attr

Expr = Any


def _f(value: float) -> Expr:
    return tirx.const(value, "float32")


def _fma(a: Expr, b: Expr, c: Expr) -> Expr:
    return tirx.call_llvm_pure_intrin("float32", "llvm.fma.f32", a, b, c)


def _polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """Horner's scheme, the highest power first."""
    value = _f(coefficients[0])
    for c in coefficients[1:]:
        value = _fma(value, x, _f(c))
    return value


def _let(value: Expr, body: Callable[[Expr], Expr]) -> Expr:
    variable = tirx.Var("v", "float32")
    return tirx.Let(variable, value, body(variable))


def _power_of_two(n: Expr) -> Expr:
    """2**n for a whole float n in [-126, 127]."""
    return tirx.reinterpret("float32", (n.astype("int32") + 127) << 23)


def exp(x: Expr) -> Expr:
    """e**x, flushed to 0 below 2**-126 and infinite above float32's range.

    Reduced to [-log(2)/2, log(2)/2] in two steps (Cody and Waite 1980); the polynomial is Cephes' expf.
    """

    def reduced(x: Expr) -> Expr:
        n = tirx.nearbyint(x * _f(1.44269504088896341))
        return _let(n, lambda n: _let(_fma(n, _f(-0.693359375), x), lambda r: scaled(n, r)))

    def scaled(n: Expr, r: Expr) -> Expr:
        def value(r: Expr) -> Expr:
            p = _polynomial(
                r,
                (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5),
            )
            half = tirx.floor(n * _f(0.5))  # 2**128 does not fit, 2**64 * 2**64 does
            sum_ = _fma(p, r * r, r) + _f(1)
            return sum_ * _power_of_two(half) * _power_of_two(n - half)

        return _let(_fma(n, _f(2.12194440e-4), r), value)

    clamped = tirx.max(tirx.min(x, _f(89.0)), _f(-90.0))
    inside = _let(clamped, reduced)
    return tirx.Select(x < _f(-87.33654), _f(0), tirx.Select(x > _f(88.72283), _f(float("inf")), inside))


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + exp(-x))."""
    return _f(1) / (_f(1) + exp(_f(0) - x))


def tanh(x: Expr) -> Expr:
    """Cephes' tanhf: a polynomial below 0.625, exp above."""

    def value(a: Expr) -> Expr:
        squared = a * a
        p = _polynomial(
            squared,
            (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1),
        )
        small = _fma(p * squared, x, x)
        large = _f(1) - _f(2) / (exp(a + a) + _f(1))
        signed = tirx.Select(x < _f(0), _f(0) - large, large)
        return tirx.Select(a < _f(0.625), small, signed)

    return _let(_absolute(x), value)


def log(x: Expr) -> Expr:
    """Cephes' logf: mantissa in [sqrt(1/2), sqrt(2)), then a polynomial. -infinity at 0, NaN below."""

    def parts(x: Expr) -> Expr:
        bits = tirx.reinterpret("int32", x)
        exponent = ((bits >> 23) - 126).astype("float32")
        mantissa = tirx.reinterpret("float32", (bits & 0x7FFFFF) | 0x3F000000)
        return _let(mantissa, lambda m: _let(exponent, lambda e: value(m, e)))

    def value(m: Expr, e: Expr) -> Expr:
        below = m < _f(0.70710678)
        r = tirx.Select(below, m + m, m) - _f(1)
        return _let(r, lambda r: _let(tirx.Select(below, e - _f(1), e), lambda e: joined(r, e)))

    def joined(r: Expr, e: Expr) -> Expr:
        p = _polynomial(
            r,
            (
                *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
                *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
            ),
        )
        squared = r * r
        y = _fma(p * r, squared, e * _f(-2.12194440e-4))
        return r + _fma(squared, _f(-0.5), y) + e * _f(0.693359375)

    scaled = tirx.Select(x < _f(1.17549435e-38), x * _f(8388608.0), x)
    shift = tirx.Select(x < _f(1.17549435e-38), _f(15.942385), _f(0))
    finite = _let(scaled, parts) - shift
    large = tirx.Select(x > _f(3.4028234e38), x, finite)
    return tirx.Select(x > _f(0), large, tirx.Select(x < _f(0), _f(float("nan")), _f(float("-inf"))))


def power(x: Expr, exponent: Expr) -> Expr:
    """x**exponent as exp(exponent * log(|x|)), negative for odd exponents of negative numbers.

    1 for the exponent 0, and NaN for negative numbers with an exponent that is not whole.
    """

    def value(y: Expr) -> Expr:
        positive = exp(y * log(_absolute(x)))
        whole, odd = tirx.floor(y), tirx.floor(y * _f(0.5)) * _f(2)
        signed = tirx.Select(odd < y, _f(0) - positive, positive)
        negative = tirx.Select(whole < y, _f(float("nan")), signed)
        return tirx.Select(y == _f(0), _f(1), tirx.Select(x < _f(0), negative, positive))

    return _let(exponent, value)


def erf(x: Expr) -> Expr:
    """Abramowitz and Stegun 1964, 7.1.26, above 0.5 (absolute error 2e-7); a Taylor polynomial below."""

    def value(a: Expr) -> Expr:
        squared = a * a
        series = _polynomial(
            squared,
            (-8.5484327e-4, 5.2239776e-3, -2.6866170e-2, 1.1283792e-1, -3.7612639e-1, 1.1283791671),
        )
        t = _f(1) / _fma(a, _f(0.3275911), _f(1))

        def large(t: Expr) -> Expr:
            p = _polynomial(t, (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592))
            found = _f(1) - p * t * exp(_f(0) - squared)
            return tirx.Select(x < _f(0), _f(0) - found, found)

        return tirx.Select(a < _f(0.5), series * x, _let(t, large))

    return _let(_absolute(x), value)


def _absolute(x: Expr) -> Expr:
    return tirx.Select(x < _f(0), _f(0) - x, x)


@cache
def register() -> None:
    """Let TVM's lowering use these for float32 wherever it would call a C library.

    This is for the whole process, whose other code is integer kernels that call none of them.
    """
    for function in (exp, sigmoid, tanh, log, erf):
        register_op_attr(f"tirx.{function.__name__}", "llvm.FLowerIntrinsic", _rule(function), level=99)
    register_op_attr("tirx.pow", "llvm.FLowerIntrinsic", _rule(power), level=99)
    register_op_attr("tirx.fma", "llvm.FLowerIntrinsic", _rule(_fma), level=99)


def _rule(function: Callable[..., Expr]) -> Callable[[Expr], Expr]:
    def lower(call: Expr) -> Expr:
        return function(*call.args) if str(call.ty) == "float32" else call

    return lower
