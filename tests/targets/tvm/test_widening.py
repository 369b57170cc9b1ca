"""Without VNNI, what a convolution reads is made int16 once, before it."""

import numpy as np
import pytest
from hypothesis import strategies as st

from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.isa import ISAS
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.kernels.widen import WidenKernel
from targets.tvm.lower import lower
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Tensor
from tests.targets.needs import native
from tests.targets.tvm.against_oracle import NetworkDraw, few_and_more
from tests.targets.tvm.random_graphs import ZERO_POINTS

CHANNELS = st.sampled_from([1, 3, 15, 16, 33, 48, 64])


@st.composite
def networks(draw: st.DrawFn) -> IntegerGraph:
    """Three convolutions behind each other, with weights at both ends, and a classifier."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tensor = Tensor("image", draw(st.integers(3, 20)), draw(st.integers(3, 20)), 3, (0, 100, 255))
    operators: list[Image | Conv] = [Image(tensor)]
    for _ in range(3):
        sizes = []
        for length in (tensor.height, tensor.width):
            kernel = draw(st.sampled_from([k for k in (1, 2, 3, 7) if k <= length]))
            stride, pad = draw(st.integers(1, 3)), draw(st.integers(0, kernel - 1))
            sizes.append((kernel, stride, pad, (length + 2 * pad - kernel) // stride + 1))
        (kh, sh, ph, height), (kw, sw, pw, width) = sizes
        window = SlidingWindow((kh, kw), (sh, sw), (ph, pw))
        output = Tensor(f"t{len(operators)}", height, width, draw(CHANNELS), (draw(ZERO_POINTS),))
        operators.append(_conv(tensor, output, window, random))
        tensor = output
    window = SlidingWindow((tensor.height, tensor.width))
    operators.append(_conv(tensor, Tensor("logits", 1, 1, 40, (0,)), window, random, real=True))
    return IntegerGraph(tuple(operators), operators[0].output, operators[-1].output)


def _conv(
    x: Tensor, output: Tensor, window: SlidingWindow, random: np.random.Generator, real: bool = False
) -> Conv:
    shape = (output.channels, x.channels, *window.kernel)
    weight = random.choice(np.array([-127, 127], np.int8), shape)
    if random.integers(2):
        weight[:] = random.choice([-127, 127])  # the largest sums that there are
    gain = random.uniform(0.5, 2, output.channels) / (100 * weight[0].size ** 0.5)
    bias = random.integers(-1000, 1000, output.channels).astype(np.int32)
    return Conv(f"to {output.name}", x, output, weight, bias, gain.astype(np.float32), window, real=real)


@few_and_more(3, 6)
@pytest.mark.parametrize("name", ["avx2", "avx512", "sse4"])
def test_results_are_the_oracles(name: str, draw: NetworkDraw) -> None:
    draw.check(networks(), native(name))


def _one(x: tuple[int, int, int], outputs: int, window: SlidingWindow, size: tuple[int, int]) -> IntegerGraph:
    random = np.random.default_rng(0)
    image, inside = Tensor("image", *x, (0, 100, 255)), Tensor("inside", *size, outputs, (7,))
    logits = Tensor("logits", 1, 1, 3, (0,))
    operators = (
        Image(image),
        _conv(image, inside, window, random),
        _conv(inside, logits, SlidingWindow(size), random, real=True),
    )
    return IntegerGraph(operators, image, logits)


def test_of_a_strided_1x1_only_the_pixels_that_it_reads_are_widened() -> None:
    graph = _one((20, 14, 3), 64, SlidingWindow((1, 1), (2, 2)), (10, 7))
    widened = next(
        step.kernel for step in lower(graph, ISAS["avx2"]).steps if step.node == "to inside: widened"
    )
    assert isinstance(widened, WidenKernel)
    assert (widened.height, widened.width) == (10, 7)


def _kernel(graph: IntegerGraph, isa: str, node: str = "to inside") -> ConvKernel:
    kernel = next(step.kernel for step in lower(graph, ISAS[isa]).steps if step.node == node)
    assert isinstance(kernel, ConvKernel)
    return kernel


@pytest.mark.parametrize(
    ("isa", "side", "wide"),
    [("avx512", 8, False), ("avx2", 8, True), ("avx2", 1, False)],
    ids=["one vector", "two vectors", "a single pixel"],
)
def test_activations_that_meet_few_weights_are_widened_where_they_are_multiplied(
    isa: str, side: int, wide: bool
) -> None:
    graph = _one((side, side, 3), 16, SlidingWindow(), (side, side))
    assert (_kernel(graph, isa).windows.widened is not None) is wide


@pytest.mark.parametrize(("isa", "granules"), [("avx2", 12), ("avx512vnni", 6), ("dotprod", 6)])
def test_channels_that_only_fill_up_a_pixel_are_not_multiplied(isa: str, granules: int) -> None:
    graph = _one((1, 1, 3), 24, SlidingWindow(), (1, 1))
    assert _kernel(graph, isa, "to logits").granules == granules


@pytest.mark.parametrize("name", [name for name, isa in ISAS.items() if not isa.multiplies_words])
def test_where_bytes_are_multiplied_nothing_is_widened(name: str) -> None:
    graph = _one((8, 8, 3), 64, SlidingWindow(), (8, 8))
    assert not any(isinstance(step.kernel, WidenKernel) for step in lower(graph, ISAS[name]).steps)
