"""The first convolution of a ResNet, 7 x 7 with stride 2 on an image, by minimal filters of its phases."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from targets.tvm import winograd_layer
from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.isa import ISAS, Isa
from targets.tvm.kernels.winograd import WinogradKernel
from targets.tvm.kernels.winograd_phases import PhasesInput
from targets.tvm.lower import lower
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Tensor
from targets.tvm.winograd_layer import TILES_OF_PHASES, is_exact
from tests.targets.needs import native
from tests.targets.tvm.against_oracle import NetworkDraw, check, emulated, few_and_more
from tests.targets.tvm.extreme_convolutions import INT32, convolution, with_bias

STEM = SlidingWindow((7, 7), (2, 2), (3, 3))
(TILE,) = TILES_OF_PHASES


def network(
    random: np.random.Generator,
    size: tuple[int, int],
    channels: int = 3,
    window: SlidingWindow = STEM,
    outputs: int | None = None,
) -> IntegerGraph:
    """An image, one convolution, a classifier."""
    zeros = tuple(int(zero) for zero in random.choice([0, 100, 128, 255], channels))
    image = Tensor("image", *size, channels, zeros)
    first = convolution(image, int(random.integers(1, 70)) if outputs is None else outputs, window, random)
    end = convolution(first.output, 7, SlidingWindow((first.output.height, first.output.width)), random)
    end = replace(end, output=Tensor("logits", 1, 1, 7, (0,)), real=True)
    return IntegerGraph((Image(image), first, end), image, end.output)


@st.composite
def networks(draw: st.DrawFn) -> IntegerGraph:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(7, 40)), draw(st.integers(7, 40))
    pad = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    return network(random, (height, width), draw(st.sampled_from((1, 3))), replace(STEM, pad=pad))


def by_phases(graph: IntegerGraph, isa: Isa) -> bool:
    kernels = [step.kernel for step in lower(graph, isa).steps]
    return any(isinstance(one, WinogradKernel) and isinstance(one.before, PhasesInput) for one in kernels)


def always_by_phases(isa: Isa, monkeypatch: pytest.MonkeyPatch) -> st.SearchStrategy[IntegerGraph]:
    monkeypatch.setattr(winograd_layer, "winograd_cost", lambda *_: 0.0)
    return networks().filter(lambda graph: by_phases(graph, isa))


@few_and_more(3, 12)
def test_random_ones_on_this_machine(draw: NetworkDraw, monkeypatch: pytest.MonkeyPatch) -> None:
    isa = native("avx2")
    draw.check(always_by_phases(isa, monkeypatch), isa, "phases")


@few_and_more(1, 4)
def test_random_ones_in_the_emulator(draw: NetworkDraw, monkeypatch: pytest.MonkeyPatch) -> None:
    isa = emulated("neon")
    draw.check(always_by_phases(isa, monkeypatch), isa, "phases")


def test_tiles_in_groups() -> None:
    """224 x 224 has as many tiles beside each other as ResNets have."""
    graph = network(np.random.default_rng(0), (36, 224))
    assert by_phases(graph, native("avx2"))
    check(graph, native("avx2"))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_proof_holds_up_to_the_last_sum_that_fits(sign: int) -> None:
    _, op, _ = network(np.random.default_rng(0), (12, 12)).operators
    assert isinstance(op, Conv)
    op = replace(op, input=replace(op.input, zero_point=(100,)))
    most = (INT32 - 1) // TILE.power
    for isa in (ISAS["avx2"], ISAS["neon"]):
        assert is_exact(with_bias(op, most, sign), TILE, isa)
        assert not is_exact(with_bias(op, most + 1, sign), TILE, isa)


@pytest.mark.parametrize("name", list(ISAS))
def test_instruction_sets_that_multiply_four_bytes_a_lane_multiply_as_it_is(name: str) -> None:
    graph = network(np.random.default_rng(0), (64, 64), outputs=64)
    assert by_phases(graph, ISAS[name]) is (name in {"avx512", "avx2", "sse4", "neon"})


@pytest.mark.parametrize(
    "window",
    [replace(STEM, stride=(1, 1)), replace(STEM, stride=(2, 1)), replace(STEM, kernel=(7, 5), pad=(3, 2))],
    ids=str,
)
def test_other_windows_are_multiplied_as_they_are(window: SlidingWindow) -> None:
    assert not by_phases(network(np.random.default_rng(0), (64, 64), window=window), ISAS["avx2"])


def test_more_channels_than_are_read_at_once_are_multiplied_as_they_are() -> None:
    assert not by_phases(network(np.random.default_rng(0), (64, 64), channels=5), ISAS["avx2"])
