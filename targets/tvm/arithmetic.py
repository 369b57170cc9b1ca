"""Translates sums, differences, products and quotients to integers."""

from dataclasses import replace
from math import inf, prod

import numpy as np

from targets.errors import NoIntegerForm
from targets.tvm.channelwise import with_constant
from targets.tvm.convert import copied
from targets.tvm.integer_graph import Operator
from targets.tvm.operators.element_by_element import Add, Multiply
from targets.tvm.operators.results_on_grids import Residual
from targets.tvm.tensors import Tensor
from targets.tvm.values import Attributes, Epilogue, Pending, Quantized, Reader, Value


def add(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Add: a residual of the convolution in front of it, of two quantised tensors, or of a constant."""
    match operands:
        case [Pending() as sum_, Quantized() as other] | [Quantized() as other, Pending() as sum_]:
            if not sum_.fusable or sum_.residual is not None or (sum_.low, sum_.high) != (-inf, inf):
                raise NoIntegerForm(
                    f"{node} cannot be joined to {sum_.node}, whose result is bounded or has a sum already."
                )
        case [Quantized() as first, Quantized() as other] if first.shape == other.shape:
            sum_ = copied(node, first)
        case [Quantized() as first, Quantized() as other]:
            return _sum(node, *_by_size(first, other), 1.0)
        case _:
            found = with_constant("Add", node, operands)
            if found is not None:
                return found
            raise NoIntegerForm(
                f"{node} needs quantised inputs: one at least, where the other is a Conv's result."
            )
    if sum_.shape != other.shape:
        raise NoIntegerForm(f"{node} adds {sum_.shape} and {other.shape}; the shapes have to be equal.")
    return replace(sum_, residual=other, fusable=False, scalable=False, real=None)


def subtract(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Sub of two tensors, of a constant, or from one."""
    match operands:
        case [Quantized() as first, Quantized() as other] if (first, other) == _by_size(first, other):
            return _sum(node, first, other, -1.0)
    found = with_constant("Sub", node, operands)
    if found is None:
        raise NoIntegerForm(f"{node} needs two quantised inputs, the larger one first, or a constant.")
    return found


def divide(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Div by a constant."""
    found = with_constant("Div", node, operands)
    if found is None:
        raise NoIntegerForm(f"{node} needs a quantised input and a constant.")
    return found


def multiply(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Mul by a constant, of two tensors, or of a tensor and one number for each channel or each pixel."""
    match operands:
        case [Quantized() as a, Quantized() as b]:
            return _product(node, *_by_size(a, b))
    found = with_constant("Mul", node, operands)
    if found is None:
        raise NoIntegerForm(f"{node} needs two quantised inputs, or one and a constant.")
    return found


def _product(node: str, x: Quantized, factor: Quantized) -> Pending:
    tensor, other = _both(node, x, factor)

    def finish(end: Epilogue) -> Operator:
        multiplier = float(np.float32(x.scale * factor.scale / end.scale))
        return Multiply(node, tensor, other, end.output, multiplier, end.clip)

    return Pending(node, x.shape, finish, flat=x.flat)


def _sum(node: str, x: Quantized, addend: Quantized, sign: float) -> Pending:
    tensor, other = _both(node, x, addend)

    def finish(end: Epilogue) -> Operator:
        multiplier = float(np.float32(x.scale / end.scale))
        residual = Residual(other, sign * float(np.float32(addend.scale / end.scale)))
        return Add(node, tensor, end.output, multiplier, residual, end.clip)

    return Pending(node, x.shape, finish, flat=x.flat)


def _by_size(a: Quantized, b: Quantized) -> tuple[Quantized, Quantized]:
    """Both, the larger one first."""
    return (a, b) if prod(a.shape) >= prod(b.shape) else (b, a)


def _both(node: str, x: Quantized, other: Quantized) -> tuple[Tensor, Tensor]:
    """The tensors of both operands; x is the larger one. Raises NoIntegerForm."""
    shapes = {x.shape, (1, 1, x.shape[2]), (*x.shape[:2], 1)}
    if x.flat != other.flat or other.shape not in shapes:
        raise NoIntegerForm(
            f"{node} joins {x.shape} and {other.shape}; the shapes have to be equal, or one of them one "
            "number for each channel, or for each pixel."
        )
    return x.whole(node), other.whole(node)


READERS: dict[str, Reader] = {"Add": add, "Sub": subtract, "Mul": multiply, "Div": divide}
