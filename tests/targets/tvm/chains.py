"""Functions of one tensor as exporters write them: one operator, or a chain of them."""

from collections.abc import Callable

import numpy as np

from tests.targets.tvm.qdq_model import QdqModel

Chain = Callable[[QdqModel, str], str]
"""Appends operators on a tensor to a model, and returns the name of their result."""


def number(m: QdqModel, value: float) -> str:
    return m.constant(np.float32(value))


def node(op: str, **attributes: float) -> Chain:
    return lambda m, x: m.node(op, x, **attributes)


def relu6_of_three_more(m: QdqModel, x: str) -> str:
    return m.node("Clip", m.node("Add", x, number(m, 3)), number(m, 0), number(m, 6))


def hard_sigmoid_by_clip(m: QdqModel, x: str) -> str:
    return m.node("Div", relu6_of_three_more(m, x), number(m, 6))


def hard_swish_by_hard_sigmoid(m: QdqModel, x: str) -> str:
    return m.node("Mul", x, m.node("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def hard_swish_by_clip(m: QdqModel, x: str) -> str:
    return m.node("Div", m.node("Mul", x, relu6_of_three_more(m, x)), number(m, 6))


def hard_swish_of_keras(m: QdqModel, x: str) -> str:
    bounded = m.node("Min", m.node("Relu", m.node("Add", x, number(m, 3))), number(m, 6))
    return m.node("Mul", x, m.node("Mul", bounded, number(m, 1 / 6)))


def silu(m: QdqModel, x: str) -> str:
    return m.node("Mul", x, m.node("Sigmoid", x))
