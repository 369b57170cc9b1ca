"""ARM without dot product: products of two granules are added up in int16 where they fit, and only there."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from targets.tvm.chained_weights import chained
from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.isa import ISAS
from targets.tvm.kernels.chained_products import MOST_TOGETHER, Chains
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.lower import lower
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Tensor
from targets.tvm.tuning.search import convolutions
from tests.targets.tvm.against_oracle import NetworkDraw, check, emulated, few_and_more
from tests.targets.tvm.extreme_convolutions import convolution
from tests.targets.tvm.random_graphs import ZERO_POINTS
from tests.targets.tvm.wide_graphs import with_wide

SIZES = st.sampled_from([1, 1, 2, 3])


def ordered(weights: NDArray[np.int8]) -> list[list[int]]:
    """The granules that go together, of each block of channels."""
    found = chained(weights)
    assert all(sorted(order) == list(range(weights.shape[1])) for order in found.order)
    return [list(order[: 2 * pairs]) for order, pairs in zip(found.order, found.pairs, strict=True)]


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 40), st.integers(1, 60))
def test_the_weights_of_a_pair_fit_in_every_lane(seed: int, blocks: int, granules: int, spread: int) -> None:
    random = np.random.default_rng(seed)
    weights = np.clip(random.normal(0, spread, (blocks, granules, 4, 16)), -127, 127).astype(np.int8)
    halves = np.abs(weights.astype(int)).reshape(blocks, granules, 4, 2, 8).sum(axis=3)
    for block, pairs in enumerate(ordered(weights)):
        for first, second in zip(pairs[0::2], pairs[1::2], strict=True):
            assert (halves[block, first] + halves[block, second]).max() <= MOST_TOGETHER


def with_sums(*sums: int) -> NDArray[np.int8]:
    """Granules of one block, in a lane of which the absolute values of weights add up to these."""
    weights = np.zeros((1, len(sums), 4, 16), np.int8)
    weights[0, :, 3, 7] = [total // 2 for total in sums]
    weights[0, :, 3, 15] = [total // 2 - total for total in sums]
    return weights


def test_one_step_too_much_does_not_fit() -> None:
    assert chained(with_sums(127, 128, 128, 127)).pairs.tolist() == [2]
    assert chained(with_sums(128, 128, 128, 128)).pairs.tolist() == [0]


def test_granules_that_fit_few_others_choose_first() -> None:
    assert chained(with_sums(0, 200, 55, 200)).pairs.tolist() == [2]


def quieter(op: Conv, random: np.random.Generator) -> Conv:
    """The same with weights of which most granules go together, or all, as closely as they can."""
    weight = np.clip(random.normal(0, 28, op.weight.shape), -127, 127).astype(np.int8)
    if random.integers(2):
        weight = np.full(op.weight.shape, random.choice([-63, 63]), np.int8)
    return replace(op, weight=weight, multiplier=(op.multiplier * 3).astype(np.float32))


@st.composite
def networks(draw: st.DrawFn) -> IntegerGraph:
    """Convolutions of many channels behind each other, the second with a residual; some have 16 bits."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = Tensor("image", draw(st.integers(3, 9)), draw(st.integers(3, 9)), 3, (0, 100, 255))
    x = Tensor("x", image.height, image.width, draw(st.integers(60, 150)), (draw(ZERO_POINTS),))
    operators: list[Image | Conv] = [
        Image(image),
        replace(convolution(image, x.channels, SlidingWindow(), random), output=x),
    ]
    for number in range(2):
        (kh, kw), stride = (draw(SIZES), draw(SIZES)), draw(st.integers(1, 2))
        window = SlidingWindow((kh, kw), (stride, stride), (kh - 1, kw - 1))
        op = quieter(convolution(x, draw(st.integers(4, 40)), window, random), random)
        x = replace(op.output, name=f"t{number}", zero_point=(draw(ZERO_POINTS),))
        operators.append(replace(op, output=x))
    last = quieter(convolution(x, x.channels, SlidingWindow(), random), random)
    operators.append(replace(last, residual=Residual(x, 0.7), clip=Clip(30, 200)))
    x = last.output
    end = quieter(convolution(x, 7, SlidingWindow((x.height, x.width)), random), random)
    operators.append(replace(end, output=Tensor("logits", 1, 1, 7, (0,)), real=True))
    graph = IntegerGraph(tuple(operators), image, operators[-1].output)
    return with_wide(graph, {"t0": 100}) if draw(st.booleans()) else graph


def listed(graph: IntegerGraph) -> list[ConvKernel]:
    kernels = [step.kernel for step in lower(graph, ISAS["neon"]).steps]
    return [kernel for kernel in kernels if isinstance(kernel, ConvKernel) and kernel.windows.chains]


@few_and_more(6, 20)
def test_results_are_the_oracles(draw: NetworkDraw) -> None:
    draw.check(networks().filter(lambda graph: len(listed(graph)) > 1), emulated("neon"))


def single(weight: NDArray[np.int8], zero: int) -> IntegerGraph:
    """An image of 64 equal channels made from one, and a convolution with these weights."""
    image, x = Tensor("image", 5, 5, 1, (zero,)), Tensor("x", 5, 5, weight.shape[1], (zero,))
    random = np.random.default_rng(0)
    copy = convolution(image, x.channels, SlidingWindow(), random)
    ones, nothing = np.ones_like(copy.weight), np.zeros_like(copy.bias)
    copy = replace(copy, output=x, weight=ones, bias=nothing, multiplier=np.ones_like(copy.multiplier))
    op = replace(convolution(x, len(weight), SlidingWindow((5, 5)), random), weight=weight)
    end = replace(op, output=Tensor("logits", 1, 1, len(weight), (0,)), real=True)
    return IntegerGraph((Image(image), copy, end), image, end.output)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("zero", [0, 255])
def test_products_that_just_fit(sign: int, zero: int) -> None:
    weight = np.full((8, 64, 5, 5), 64 * sign, np.int8)
    weight[:, 24:32] = weight[:, 56:] = 63 * sign
    graph = single(weight, zero)
    (kernel,) = listed(graph)
    assert kernel.windows.chains == Chains(100, paired=True)
    check(graph, emulated("neon"))


@pytest.mark.parametrize("sign", [-1, 1])
def test_products_that_do_not_fit_are_widened_by_themselves(sign: int) -> None:
    weight = np.full((8, 64, 5, 5), 63 * sign, np.int8)
    weight[:, :16, :2] = 127 * sign  # 10 of 100 granules
    graph = single(weight, 255)
    assert listed(graph)
    check(graph, emulated("neon"))


def test_large_weights_are_multiplied_without_a_list() -> None:
    graph = single(np.full((8, 64, 5, 5), 127, np.int8), 0)
    assert not listed(graph)
    assert not any(k.shape.chained for k in convolutions(graph, ISAS["neon"]))


def test_other_instruction_sets_have_no_lists() -> None:
    graph = single(np.ones((8, 64, 5, 5), np.int8), 0)
    assert listed(graph)
    assert convolutions(graph, ISAS["neon"])[0].shape.height == 5  # the copy; the other's blocks are fixed
    for isa in ("dotprod", "i8mm", "avx2"):
        kernels = [step.kernel for step in lower(graph, ISAS[isa]).steps]
        assert not any(isinstance(kernel, ConvKernel) and kernel.windows.chains for kernel in kernels)
