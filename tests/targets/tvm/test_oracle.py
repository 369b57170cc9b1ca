"""The oracle against libraries that share no code with it."""

from fractions import Fraction

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from targets.tvm import oracle
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.results_on_grids import fused_multiply_add
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.operators.window_pooling import AveragePool, MaxPool
from targets.tvm.tensors import Tensor
from tests.targets.tvm.random_graphs import networks

floats = st.floats(width=32, min_value=-(2.0**40), max_value=2.0**40, allow_subnormal=False)


def rounded(exact: Fraction) -> np.float32:
    """The float32 nearest to a rational, ties to even, by looking at the neighbours of a first guess."""
    guess = np.float32(float(exact))
    near = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    return min(near, key=lambda f: (abs(Fraction(float(f)) - exact), int(f.view(np.int32)) & 1))


@given(floats, floats, floats)
def test_fused_multiply_add_rounds_once(a: float, b: float, c: float) -> None:
    found = fused_multiply_add(np.array([a], np.float32), np.float32(b), np.array([c], np.float32))
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if abs(exact) < Fraction(2) ** -100 or abs(exact) > Fraction(2) ** 120:
        return  # next to float32's limits neighbours are not what they seem
    assert found[0] == rounded(exact)


def test_fused_multiply_add_rounds_once_where_float64_would_round_twice() -> None:
    a, b, c = np.float32(1 + 2.0**-12), np.float32(1 + 2.0**-12), np.float32(2.0**-60)
    assert fused_multiply_add(np.array([a]), b, np.array([c]))[0] == rounded(
        Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    )


@given(networks())
def test_convolution_sums_are_those_of_torch(graph: object) -> None:
    conv = next(op for op in graph.operators if isinstance(op, Conv))  # type: ignore[attr-defined] # an IntegerGraph
    x = conv.input
    pixels = np.random.default_rng(1).integers(0, 256, (2, x.height, x.width, x.channels)).astype(np.uint8)
    centred = torch.tensor(pixels.astype(np.float64) - np.asarray(x.zero_point)).permute(0, 3, 1, 2)
    (top, left), (rows, columns) = conv.window.pad, conv.window.reach(conv.output.height, conv.output.width)
    padded = functional.pad(
        centred, (left, max(0, columns - left - x.width), top, max(0, rows - top - x.height))
    )
    expected = functional.conv2d(
        padded[:, :, :rows, :columns],
        torch.tensor(conv.weight.astype(np.float64)),
        torch.tensor(conv.bias.astype(np.float64)),
        conv.window.stride,
        dilation=conv.window.dilation,
        groups=conv.groups,
    )
    assert np.array_equal(conv.accumulate(pixels), expected.permute(0, 2, 3, 1).numpy())


def test_pooling_is_that_of_torch() -> None:
    x = Tensor("x", 7, 9, 4, (3,))
    window = SlidingWindow((3, 2), (2, 1), (1, 1))
    pixels = np.random.default_rng(2).integers(0, 256, (2, 7, 9, 4)).astype(np.uint8)
    planes = torch.tensor(pixels.astype(np.float64)).permute(0, 3, 1, 2)
    largest = functional.max_pool2d(planes, (3, 2), (2, 1), (1, 1)).permute(0, 2, 3, 1).numpy()
    y = Tensor("y", largest.shape[1], largest.shape[2], 4, (3,))
    assert np.array_equal(oracle.evaluate(MaxPool("", x, y, window), {"x": pixels})["y"], largest)

    means = functional.avg_pool2d(planes - 3, (3, 2), (2, 1), (1, 1), count_include_pad=False)
    multipliers = (1 / np.arange(1, 7)).astype(np.float32)
    found = oracle.evaluate(AveragePool("", x, y, window, multipliers), {"x": pixels})["y"]
    assert np.abs(found - 3.0 - means.permute(0, 2, 3, 1).numpy()).max() <= 0.5 + 1e-4
