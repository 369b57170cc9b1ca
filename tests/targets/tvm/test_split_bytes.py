"""Bytes split into seven bits and one, for vpmaddubsw: the same bits, and sums that fit for every input."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from targets.tvm.excess_weights import MOST_TOGETHER, exceeding, without_excess
from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.isa import ISAS, Isa
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.kernels.split_bytes import MOST_LOW
from targets.tvm.kernels.split_products import EXCESS_HEADER, excess_bounds
from targets.tvm.kernels.window_runs import WindowRuns
from targets.tvm.lower import lower
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.results_on_grids import Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Tensor
from tests.targets.needs import native
from tests.targets.tvm.against_oracle import NetworkDraw, check, few_and_more

WORDS = [name for name, isa in ISAS.items() if isa.multiplies_words]
WEIGHTS = ([-128, 127], [-128], [127], [-60, 0, 60, 127], range(-20, 20))
"""Always too large together, always of one sign, sometimes, and never."""


def convolution(
    x: Tensor, channels: int, window: SlidingWindow, random: np.random.Generator, zero: int = 0
) -> Conv:
    height, width = (
        (length + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1
        for length, pad, kernel, stride, dilation in zip(
            (x.height, x.width), window.pad, window.kernel, window.stride, window.dilation, strict=True
        )
    )
    values = np.array(WEIGHTS[random.integers(len(WEIGHTS))], np.int8)
    weight = random.choice(values, (channels, x.channels, *window.kernel))
    gain = random.uniform(0.5, 2, channels) / (30 * np.abs(values.astype(int)).mean() * weight[0].size ** 0.5)
    bias = random.integers(-1000, 1000, channels).astype(np.int32)
    output = Tensor(f"{x.name}'", height, width, channels, (zero,))
    return Conv(f"of {x.name}", x, output, weight, bias, gain.astype(np.float32), window)


def network(
    channels: int, size: tuple[int, int], zero: int, random: np.random.Generator
) -> list[Image | Conv]:
    """An image, and bytes made of it, some of them large."""
    image = Tensor("image", *size, 3, (0, 100, 255))
    first = convolution(image, channels, SlidingWindow(), random)
    weight = random.integers(-9, 10, first.weight.shape).astype(np.int8)
    gain = random.choice([0.01, 0.05, 0.3], channels).astype(np.float32)
    output = replace(first.output, zero_point=(zero,))
    return [Image(image), replace(first, weight=weight, multiplier=gain, output=output)]


def finished(operators: list[Image | Conv], random: np.random.Generator) -> IntegerGraph:
    last = operators[-1].output
    end = convolution(last, 5, SlidingWindow((last.height, last.width)), random)
    logits = Tensor("logits", 1, 1, 5, (0,))
    operators = [*operators, replace(end, output=logits, real=True)]
    return IntegerGraph(tuple(operators), operators[0].output, logits)


@st.composite
def networks(draw: st.DrawFn) -> IntegerGraph:
    """Two convolutions of bytes that are split, the second with a residual where it fits."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(3, 12)), draw(st.integers(3, 12))
    channels = draw(st.sampled_from([16, 33, 64, 255, 272, 528]))
    operators = network(channels, size, draw(st.sampled_from([0, 1, 64])), random)
    kernel, dilation = draw(
        st.sampled_from([((1, 1), 1), ((3, 3), 1), ((2, 1), 1), ((1, 3), 1), ((2, 2), 2)])
    )
    stride = (draw(st.integers(1, 2)), 2) if kernel == (3, 3) else draw(st.sampled_from([(1, 1), (2, 1)]))
    pad = draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))
    window = SlidingWindow(kernel, stride, pad, (dilation, dilation))
    operators.append(convolution(operators[-1].output, draw(st.sampled_from([32, 48])), window, random))
    x = operators[-1].output
    again = convolution(x, x.channels, SlidingWindow(), random, zero=draw(st.sampled_from([0, 128, 255])))
    operators.append(replace(again, residual=Residual(x, 0.7)))
    return finished(operators, random)


def split(graph: IntegerGraph, isa: Isa) -> list[ConvKernel]:
    kernels = (step.kernel for step in lower(graph, isa).steps)
    return [k for k in kernels if isinstance(k, ConvKernel) and k.windows.split]


@few_and_more(5, 30)
def test_random_ones(draw: NetworkDraw) -> None:
    isa = native("avx2")
    draw.check(networks().filter(lambda graph: len(split(graph, isa)) >= 2), isa)  # not of single pixels


@few_and_more(1, 8)
@pytest.mark.parametrize("name", sorted({*WORDS} - {"avx2"}))
def test_random_ones_with_vectors_of_other_sizes(name: str, draw: NetworkDraw) -> None:
    draw.check(networks(), native(name))


def test_all_bytes_and_weights_at_their_ends() -> None:
    """Every granule has top bits, and every four weights are too large."""
    random = np.random.default_rng(0)
    image, first = network(288, (5, 5), 0, random)
    assert isinstance(first, Conv)
    white = replace(first, weight=np.zeros_like(first.weight), bias=np.full_like(first.bias, 10**9))
    op = convolution(first.output, 64, SlidingWindow((3, 3), (2, 2), (1, 1)), random)
    weight = np.where(np.arange(64) % 2, 127, -128).astype(np.int8)[:, None, None, None]
    op = replace(op, weight=np.broadcast_to(weight, op.weight.shape).copy())
    gain = np.full(64, 1e-7, np.float32)
    op = replace(op, multiplier=gain, output=replace(op.output, zero_point=(128,)))
    graph = finished([image, white, op], random)
    assert split(graph, native("avx2"))
    check(graph, native("avx2"))


def packed(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """[channel, bytes] of one block and run as kernels read them."""
    channels, size = weights.shape
    return np.ascontiguousarray(weights.reshape(channels, -1, 4).transpose(1, 0, 2)).reshape(
        1, 1, size // 4, channels, 4
    )


@given(st.lists(st.integers(-128, 127), min_size=16, max_size=16))
def test_whatever_is_left_fits_for_every_input(numbers: list[int]) -> None:
    """vpmaddubsw adds neighbours, and the kernel those of two granules; activations are 0 to 127."""
    weights = packed(np.array(numbers, np.int8).reshape(1, 16))
    out = np.repeat(exceeding(weights), 2, axis=-1)
    kept = weights.copy()
    kept[:, :, 1::2] = np.where(out, 0, kept[:, :, 1::2])
    fours = kept.astype(int).reshape(2, 2, 1, 2, 2).transpose(0, 3, 1, 2, 4).reshape(-1, 4)
    assert MOST_LOW * np.maximum(fours, 0).sum(axis=1).max() < 1 << 15
    assert MOST_LOW * np.minimum(fours, 0).sum(axis=1).min() >= -1 << 15


@pytest.mark.parametrize("sign", [1, -1])
def test_the_proof_holds_up_to_the_last_sum_that_fits(sign: int) -> None:
    assert MOST_LOW * MOST_TOGETHER < 1 << 15 <= MOST_LOW * (MOST_TOGETHER + 1)
    weights = packed(sign * np.array([[127, 1, 0, 0, 127, 3, 0, 0]], np.int8))
    assert not exceeding(weights).any()
    weights[0, 0, 1, 0, 1] += sign
    assert exceeding(weights).sum() == 1


def test_what_is_taken_out_is_on_the_list() -> None:
    random = np.random.default_rng(0)
    graph = finished([*network(288, (5, 5), 0, random)], random)
    first = graph.operators[1]
    assert isinstance(first, Conv)
    op = convolution(first.output, 32, SlidingWindow((3, 3), (2, 2)), random)
    op = replace(op, weight=random.integers(-128, 128, op.weight.shape).astype(np.int8))
    graph = finished([*network(288, (5, 5), 0, np.random.default_rng(0)), op], random)
    (kernel, *_) = split(graph, ISAS["avx2"])
    windows = kernel.windows
    assert windows.split
    before = random.integers(-128, 128, (2, 3, 3 * 288 // 4, 16, 4)).astype(np.int8)
    found = without_excess(before, windows, windows.split)
    kept, rest = found[: before.size].reshape(before.shape), found[before.size :]
    bounds = rest[: excess_bounds(2)].view("<i4")
    entries = rest[excess_bounds(2) :].reshape(-1, EXCESS_HEADER + 64)
    restored = kept.copy()
    for block in range(2):
        for entry in entries[bounds[block] : bounds[block + 1]]:
            run, inside = divmod(int(entry[:4].view("<i4")[0]), windows.tap_step[0])
            restored[block, run, inside // 4] += entry[EXCESS_HEADER:].reshape(16, 4)
            assert _mask(entry, windows) == (run, inside // 4)
    assert bounds[2] == len(entries) > 0
    assert np.array_equal(restored, before)


def _mask(entry: NDArray[np.int8], windows: WindowRuns) -> tuple[int, int]:
    """The run and granule that an entry's mask and bit mean."""
    assert windows.split
    _, mask, bit = map(int, entry[:12].view("<i4"))
    run, number = divmod(mask, windows.tap_step[0] // 8)
    pixel, part = divmod(number, windows.split.masks)
    return run, pixel * windows.split.channels // 4 + part * 64 + bit


def with_weights_that_all_take(graph: IntegerGraph) -> IntegerGraph:
    """Without -128, which neon refuses."""
    convolutions = [op for op in graph.operators if isinstance(op, Conv)]
    raised = [replace(op, weight=np.maximum(op.weight, -127)) for op in convolutions]
    return IntegerGraph((graph.operators[0], *raised), graph.image, raised[-1].output)


@pytest.mark.parametrize(
    ("name", "channels", "zero", "is_split"),
    [
        *((name, 16, 64, True) for name in WORDS),
        *((name, 16, 0, False) for name in ISAS if name not in WORDS),
        ("avx2", 16, 65, False),
    ],
)
def test_where_bytes_are_split(name: str, channels: int, zero: int, is_split: bool) -> None:
    random = np.random.default_rng(0)
    operators = network(channels, (6, 6), zero, random)
    op = convolution(operators[-1].output, 32, SlidingWindow(), random, zero=200)
    graph = finished([*operators, op], random)
    assert bool(split(with_weights_that_all_take(graph), ISAS[name])) is is_split


def test_a_single_pixel_is_multiplied_as_words() -> None:
    random = np.random.default_rng(0)
    assert not split(finished(network(64, (4, 4), 0, random), random), ISAS["avx2"])
