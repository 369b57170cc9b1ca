"""Results with a zero point of 0 are rounded by an addition on ARM: ties, and the largest that it takes."""

from dataclasses import replace

import numpy as np
import pytest

from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.lower import lower
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.results_on_grids import Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Tensor
from tests.targets.tvm.against_oracle import EMULATED, check, emulated
from tests.targets.tvm.extreme_convolutions import convolution

MOST = (1 << 15) - 129
"""Results below it fit 16 bits, also if they are stored 128 lower."""


def network(gain: float, weight: int, residual: float | None) -> tuple[IntegerGraph, Conv]:
    """One channel times `weight`, for 16 outputs whose biases differ, each times `gain`."""
    random = np.random.default_rng(0)
    image = Tensor("image", 6, 5, 3, (0,))
    first = convolution(image, 16, SlidingWindow(), random)
    x = Tensor("x", 6, 5, 16, (0,))
    weights = np.zeros((16, 16, 1, 1), np.int8)
    weights[:, 0] = weight
    op = Conv(
        "rounded",
        x,
        Tensor("y", 6, 5, 16, (0,)),
        weights,
        np.arange(-8, 8).astype(np.int32),
        np.full(16, gain, np.float32),
        SlidingWindow(),
        residual=None if residual is None else Residual(x, residual),
    )
    end = convolution(op.output, 7, SlidingWindow((6, 5)), random)
    end = replace(end, output=Tensor("logits", 1, 1, 7, (0,)), real=True)
    return IntegerGraph((Image(image), replace(first, output=x), op, end), image, end.output), op


def is_short(graph: IntegerGraph, op: Conv, name: str) -> bool:
    (kernel,) = (step.kernel for step in lower(graph, emulated(name)).steps if step.node == op.node)
    return bool(kernel.limits.short)  # type: ignore[union-attr]


@pytest.mark.parametrize("residual", [None, 0.5])
@pytest.mark.parametrize("gain", [0.5, 0.1], ids=["halves", "products that become halves"])
@pytest.mark.parametrize("name", list(EMULATED))
def test_halves_are_rounded_to_even_results(name: str, gain: float, residual: float | None) -> None:
    """25 times the float32 0.1 is a little more than 2.5, and rounded to it: the product is rounded first."""
    graph, op = network(gain, 1, residual)
    assert is_short(graph, op, name)
    check(graph, emulated(name))


@pytest.mark.parametrize("beyond", [False, True])
@pytest.mark.parametrize("weight", [127, -127])
@pytest.mark.parametrize("name", list(EMULATED))
def test_the_largest_results_that_fit_are_rounded_and_larger_ones_too(
    name: str, weight: int, beyond: bool
) -> None:
    largest = 255 * 127 + 8
    gain = np.float32(MOST / largest * (1.001 if beyond else 0.999))
    graph, op = network(float(gain), weight, None)
    assert is_short(graph, op, name) is not beyond
    check(graph, emulated(name))
