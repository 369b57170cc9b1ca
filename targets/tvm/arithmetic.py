"""What sums, differences, products and quotients become in integers."""

from dataclasses import replace
from math import inf

import numpy as np

from targets.errors import NoIntegerForm
from targets.tvm.channelwise import with_constant
from targets.tvm.convert import copied
from targets.tvm.integer_graph import Operator
from targets.tvm.operators.element_by_element import Multiply
from targets.tvm.values import Attributes, Epilogue, Pending, Quantized, Reader, Value


def add(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Add: a residual of the convolution in front of it, of two quantised tensors, or of a constant."""
    match operands:
        case [Pending() as sum_, Quantized() as other] | [Quantized() as other, Pending() as sum_]:
            if not sum_.fusable or sum_.residual is not None or (sum_.low, sum_.high) != (-inf, inf):
                raise NoIntegerForm(
                    f"{node} cannot be joined to {sum_.node}. Quantise the result of {sum_.node}."
                )
        case [Quantized() as first, Quantized() as other]:
            sum_ = copied(node, first)
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
    """Sub of a constant, or from one."""
    found = with_constant("Sub", node, operands)
    if found is None:
        raise NoIntegerForm(f"{node} needs a quantised input and a constant.")
    return found


def divide(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Div by a constant."""
    found = with_constant("Div", node, operands)
    if found is None:
        raise NoIntegerForm(f"{node} needs a quantised input and a constant.")
    return found


def multiply(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Mul by a constant, of two tensors, or of a tensor and one number for each of its channels."""
    match operands:
        case [Quantized() as a, Quantized() as b]:
            x, factor = (a, b) if a.shape[0] * a.shape[1] >= b.shape[0] * b.shape[1] else (b, a)
            return _product(node, x, factor)
    found = with_constant("Mul", node, operands)
    if found is None:
        raise NoIntegerForm(f"{node} needs two quantised inputs, or one and a constant.")
    return found


def _product(node: str, x: Quantized, factor: Quantized) -> Pending:
    tensor, other = x.whole(node), factor.whole(node)
    broadcast = factor.shape[:2] == (1, 1) and x.shape[2] == factor.shape[2]
    if x.flat != factor.flat or not (x.shape == factor.shape or broadcast):
        raise NoIntegerForm(
            f"{node} multiplies {x.shape} and {factor.shape}; the shapes have to be equal, or one "
            "of them one number for each channel."
        )

    def finish(end: Epilogue) -> Operator:
        multiplier = float(np.float32(x.scale * factor.scale / end.scale))
        return Multiply(node, tensor, other, end.output, multiplier, end.clip)

    return Pending(node, x.shape, finish, flat=x.flat)


READERS: dict[str, Reader] = {"Add": add, "Sub": subtract, "Mul": multiply, "Div": divide}
