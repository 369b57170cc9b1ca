"""Depthwise convolutions, and grouped ones with few channels: a vector of channels times taps."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.tvm.addresses import convolution
from targets.tvm.depthwise_layer import DepthwiseLayer
from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.isa import ISAS, Isa
from targets.tvm.kernels.depthwise import DepthwiseKernel
from targets.tvm.kernels.tap_plan import NO_TAP, tap_plan
from targets.tvm.layout import layouts, stored_channels
from targets.tvm.lower import lower
from targets.tvm.machine_code import lowered
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.program import Step
from targets.tvm.tensors import Tensor
from targets.tvm.weights import ConvGeometry
from tests.targets.needs import native
from tests.targets.tvm.against_oracle import EMULATED, NetworkDraw, check, emulated, few_and_more
from tests.targets.tvm.random_graphs import ZERO_POINTS

Grouping = tuple[int, int, int]
"""Groups, and input and output channels of each."""
_SIDES = (1, 2, 3, 4, 5, 7)
EXTREMES = np.array([-127, 127, 127, -127, 0, 1], np.int8)


def grouped(
    x: Tensor, grouping: Grouping, window: SlidingWindow, size: tuple[int, int], random: np.random.Generator
) -> Conv:
    """A convolution with weights at both ends, of a result named after what it reads."""
    groups, inputs, outputs = grouping
    weight = random.choice(EXTREMES, (groups * outputs, inputs, *window.kernel))
    if random.integers(2):
        weight = np.full_like(weight, random.choice([-127, 127]))  # the largest sums there are
    spread = 127 * 74 * weight[0].size ** 0.5
    bias = random.integers(-int(spread), int(spread) + 1, len(weight)).astype(np.int32)
    gain = (random.uniform(0.5, 2, len(weight)) * 64 / spread).astype(np.float32)
    output = Tensor(f"{x.name}'", *size, len(weight), (int(random.choice([0, 100, 255])),))
    return Conv(f"from {x.name}", x, output, weight, bias, gain, window, groups)


def between(convolutions: list[Conv], x: Tensor, image: Image, random: np.random.Generator) -> IntegerGraph:
    """A network of these: they read what a 1x1 made of the image, and a classifier reads the last one."""
    first = grouped(
        image.output, (1, image.output.channels, x.channels), SlidingWindow(), (x.height, x.width), random
    )
    first = Conv(first.node, first.input, x, first.weight, first.bias, first.multiplier, first.window)
    last = convolutions[-1].output
    side = SlidingWindow((last.height, last.width))
    end = grouped(last, (1, last.channels, 5), side, (1, 1), random)
    logits = Tensor("logits", 1, 1, 5, (0,))
    end = Conv(end.node, last, logits, end.weight, end.bias, end.multiplier, side, real=True)
    return IntegerGraph((image, first, *convolutions, end), image.output, logits)


@st.composite
def networks(draw: st.DrawFn) -> IntegerGraph:
    """Two such convolutions behind each other, the second with a residual if its map stays the same."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 13)), draw(st.integers(1, 17))
    image = Image(Tensor("image", height, width, 3, (0, 100, 255)))
    kind = draw(st.sampled_from(["depthwise", "depthwise", "multiplier", "few"]))
    groups = draw(st.integers(1, 85 if kind == "depthwise" else 23))
    inputs = draw(st.integers(1, 6)) if kind == "few" else 1
    outputs = draw(st.integers(1, 5)) if kind != "depthwise" else 1
    x = Tensor("x", height, width, groups * inputs, (draw(ZERO_POINTS),))
    window, *size = _window(draw, (height, width), (1, 1, 2, 3))
    first = grouped(x, (groups, inputs, outputs), window, (size[0], size[1]), random)
    again = (first.output.channels, 1, 1)
    window, *size = _window(draw, (size[0], size[1]), (1,))
    second = grouped(first.output, again, window, (size[0], size[1]), random)
    if tuple(size) == (first.output.height, first.output.width):
        second = Conv(
            *(second.node, second.input, second.output, second.weight, second.bias, second.multiplier),
            *(second.window, second.groups, Residual(first.output, 0.7), Clip(30, 200)),
        )
    return between([first, second], x, image, random)


def _window(
    draw: st.DrawFn, size: tuple[int, int], strides: tuple[int, ...]
) -> tuple[SlidingWindow, int, int]:
    """A window that fits, with paddings of its own above and to the left, and the size of its result."""
    found = []
    for length in size:
        kernel, dilation = draw(st.sampled_from(_SIDES)), draw(st.sampled_from([1, 1, 2]))
        stride, reach = draw(st.sampled_from(strides)), (kernel - 1) * dilation + 1
        before, after = (draw(st.integers(0, reach - 1)) for _ in range(2))
        if length + before + after < reach:
            kernel = dilation = reach = 1
            before = after = 0
        found.append((kernel, stride, before, dilation, (length + before + after - reach) // stride + 1))
    (kh, sh, ph, dh, height), (kw, sw, pw, dw, width) = found
    return SlidingWindow((kh, kw), (sh, sw), (ph, pw), (dh, dw)), height, width


@few_and_more(4, 9)
@pytest.mark.parametrize("name", ["avx512vnni", "avxvnni", "avx512", "avx2", "sse4"])
def test_random_ones_on_this_machine(name: str, draw: NetworkDraw) -> None:
    draw.check(networks(), native(name))


@few_and_more(3, 5)
@pytest.mark.parametrize("name", list(EMULATED))
def test_random_ones_in_the_emulator(name: str, draw: NetworkDraw) -> None:
    draw.check(networks(), emulated(name))


def network(grouping: Grouping, side: int, kernel: int) -> IntegerGraph:
    """One of them, same padding."""
    random = np.random.default_rng(0)
    x = Tensor("x", side, side, grouping[0] * grouping[1], (255,))
    window = SlidingWindow((kernel, kernel), (1, 1), (kernel // 2, kernel // 2))
    image = Image(Tensor("image", side, side, 3, (0, 100, 255)))
    return between([grouped(x, grouping, window, (side, side), random)], x, image, random)


def step_of(graph: IntegerGraph, isa: Isa) -> Step:
    return next(step for step in lower(graph, isa).steps if step.node == "from x")


@pytest.mark.parametrize("name", list(ISAS))
@pytest.mark.parametrize("channels", [2, 7, 24, 192, 200, 208])
def test_any_number_of_channels_is_as_good_as_another(channels: int, name: str) -> None:
    graph = network((channels, 1, 1), 9, 5)
    op = graph.operators[2]
    assert isinstance(op, Conv)
    layer = convolution(op, layouts(graph, ISAS[name])["x"], ISAS[name])
    assert isinstance(layer, DepthwiseLayer)
    assert layer.before is None
    kernel = step_of(graph, ISAS[name]).kernel
    assert isinstance(kernel, DepthwiseKernel)
    assert kernel.channels == stored_channels(channels)


@pytest.mark.parametrize("name", list(ISAS))
@pytest.mark.parametrize(
    ("grouping", "wasted"),
    [((50, 4, 4), 2.0), ((25, 24, 24), 4.1), ((9, 12, 20), 4.1), ((3, 1, 17), 16.0)],
    ids=str,
)
def test_groups_are_not_multiplied_with_the_channels_of_all_others(
    grouping: Grouping, wasted: float, name: str
) -> None:
    graph = network(grouping, 5, 3)
    x, op = layouts(graph, ISAS[name])["x"], graph.operators[2]
    assert isinstance(op, Conv)
    how = convolution(op, x, ISAS[name])
    if isinstance(how, ConvGeometry):
        assert how.groups.inputs <= wasted * grouping[1]


@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 30), st.sampled_from(list(ISAS)))
@settings(deadline=None)
def test_blocks_read_the_channels_of_their_groups_and_none_beyond(
    groups: int, inputs: int, outputs: int, name: str
) -> None:
    graph = network((groups, inputs, outputs), 1, 1)
    op = graph.operators[2]
    assert isinstance(op, Conv)
    how = convolution(op, layouts(graph, ISAS[name])["x"], ISAS[name])
    if groups == 1 or not isinstance(how, ConvGeometry):
        return
    for channel in range(groups * outputs):
        first = how.groups.first(channel)
        wanted = channel // outputs * inputs
        assert first <= wanted
        assert wanted + inputs <= first + how.groups.inputs
        assert first + how.groups.inputs <= groups * inputs


@given(
    results=st.integers(1, 4),
    rows=st.integers(1, 9),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    planes=st.integers(1, 5),
    together=st.sampled_from([2, 4]),
)
def test_every_tap_is_multiplied_once_for_each_row_of_results(
    results: int, rows: int, stride: int, dilation: int, planes: int, together: int
) -> None:
    plan = tap_plan(results, rows, stride, dilation, planes, together)
    assert all(0 < len(group) <= together for group in plan.groups)
    for r, uses in enumerate(plan.uses):
        found = []
        for use in uses:
            for (row, plane), tap in zip(plan.groups[use.group], use.taps, strict=True):
                if tap != NO_TAP:
                    assert (row, plane) == (r * stride + tap // planes * dilation, tap % planes)
                    found.append(tap)
        assert sorted(found) == list(range(rows * planes))


@pytest.mark.parametrize("name", list(ISAS))
@pytest.mark.parametrize("channels", [16, 96])
def test_every_vector_is_loaded_whole_and_not_element_by_element(channels: int, name: str) -> None:
    """LLVM would put them together again, in seconds instead of tenths of one."""
    isa = ISAS[name]
    step = step_of(network((channels, 1, 1), 9, 3), isa)
    assert isinstance(step.kernel, DepthwiseKernel)
    code = lowered([step.kernel.function("depthwise")], isa).script()
    loads = re.findall(r"buffer\w*\[(T\.Ramp|T\.Broadcast)", code)
    assert set(loads) == {"T.Ramp"}


def test_two_rows_of_results_interleave_four_rows_of_pixels_once() -> None:
    plan = tap_plan(2, 3, 1, 1, 1, 4)
    assert len(plan.groups) == 1
    assert [use.taps for uses in plan.uses for use in uses] == [(0, 1, 2, NO_TAP), (NO_TAP, 0, 1, 2)]


@pytest.mark.parametrize("kernel", [15, 41])
def test_kernels_too_large_to_be_written_out(kernel: int) -> None:
    graph, isa = network((20, 1, 1), 24, kernel), native("avx2")
    assert isinstance(step_of(graph, isa).kernel, DepthwiseKernel) is (kernel == 15)
    check(graph, isa)
