"""Convolutions by Winograd's minimal filters: the same bits, and only where all that is computed fits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.tvm import winograd_layer
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import ISAS, Isa
from targets.tvm.kernels.minimal_filter import FOUR, THREE, TWO, MinimalFilter, TileFilter
from targets.tvm.kernels.tiling import Tiling
from targets.tvm.kernels.winograd import WinogradKernel
from targets.tvm.lower import lower
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.sharing import share
from targets.tvm.tensors import Tensor
from targets.tvm.winograd_layer import MOST_INPUTS, TILES, TILES_OF_PHASES, is_exact
from tests.targets.needs import native
from tests.targets.tvm.against_oracle import NetworkDraw, check, emulated, few_and_more
from tests.targets.tvm.extreme_convolutions import INT32, convolution, with_bias
from tests.targets.tvm.random_graphs import ZERO_POINTS
from tests.targets.tvm.wide_graphs import with_wide
from tests.targets.tvm.wide_residuals import SAME, network, wide_residuals

NUMBERS = st.integers(-1000, 1000)
PRODUCTS = pytest.mark.parametrize("name", ["avx2", "avx512vnni"])
"""Products are added by an instruction of its own, or by the one that multiplies."""


def size(tile: TileFilter) -> str:
    return f"{tile.rows.outputs}x{tile.columns.outputs}"


@pytest.mark.parametrize(
    "one",
    [TWO, FOUR, THREE, *FOUR.shorter],
    ids=["F(2, 3)", "F(4, 3)", "F(3, 4)", "F(2, 3) of F(4, 3)", "F(3, 3) of F(4, 3)"],
)
@given(st.data())
def test_a_minimal_filter_is_a_convolution(one: MinimalFilter, data: st.DataObject) -> None:
    taps, inputs = (np.array(data.draw(st.tuples(*[NUMBERS] * n))) for n in (one.taps, one.points))
    products = (np.array(one.weights) @ taps) * (np.array(one.inputs) @ inputs)
    expected = [inputs[i : i + one.taps] @ taps for i in range(one.outputs)]
    assert (np.array(one.results) @ products == one.scale * np.array(expected)).all()


@pytest.mark.parametrize("tile", [*TILES, *TILES_OF_PHASES], ids=size)
def test_what_is_not_a_power_of_two_can_be_undone(tile: TileFilter) -> None:
    assert tile.scale % tile.power == 0
    assert tile.scale // tile.power * tile.inverse % (1 << 32) == 1


@pytest.mark.parametrize("tile", [*TILES, *TILES_OF_PHASES], ids=size)
def test_transforms_of_any_bytes_fit_16_bits(tile: TileFilter) -> None:
    weights = np.kron(np.array(tile.rows.weights), np.array(tile.columns.weights))
    rows, columns = ((one, *one.shorter) for one in (tile.rows, tile.columns))
    inputs = [np.kron(np.array(down.inputs), np.array(right.inputs)) for down in rows for right in columns]
    both = [(matrix, low, high) for matrix in inputs for low, high in ((0, 255), (-128, 127))]
    for transform, low, high in [(weights, -128, 127), *both]:
        for row in transform:
            smallest, largest = (np.where(row > 0, *ends) @ row for ends in ((low, high), (high, low)))
            assert -(1 << 15) <= smallest <= largest < 1 << 15


def test_shorter_filters_take_the_first_of_the_same_transformed_weights() -> None:
    for short in FOUR.shorter:
        assert short.scale == FOUR.scale
        assert short.weights == FOUR.weights[: short.points]


@st.composite
def networks(draw: st.DrawFn) -> IntegerGraph:
    """Two 3 x 3 behind each other, the second with a residual where it fits."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(2, 15)), draw(st.integers(2, 15))
    x = Tensor("x", height, width, draw(st.integers(1, 70)), (draw(ZERO_POINTS),))
    pads = st.tuples(st.integers(1, 2), st.integers(1, 2))
    first = convolution(x, draw(st.integers(1, 50)), SlidingWindow((3, 3), pad=draw(pads)), random)
    second = convolution(first.output, first.output.channels, SAME, random)
    other = Residual(first.output, 0.7)
    return network(x, [first, replace(second, residual=other, clip=Clip(30, 200))], random)


def always(monkeypatch: pytest.MonkeyPatch, *tiles: TileFilter) -> None:
    """Take one of these wherever it is exact."""
    monkeypatch.setattr(winograd_layer, "TILES", tiles)
    monkeypatch.setattr(winograd_layer, "winograd_cost", lambda *_: 0.0)


def filters(graph: IntegerGraph, isa: Isa) -> list[WinogradKernel]:
    return [step.kernel for step in lower(graph, isa).steps if isinstance(step.kernel, WinogradKernel)]


def filtered_twice(isa: Isa) -> st.SearchStrategy[IntegerGraph]:
    """Networks whose sums are small enough for the filter in both convolutions."""
    return networks().filter(lambda graph: len(filters(graph, isa)) == 2)


def filtered_thrice(isa: Isa) -> st.SearchStrategy[IntegerGraph]:
    return wide_residuals().filter(lambda graph: len(filters(graph, isa)) == 3)


@few_and_more(2, 6)  # each filter along rows and along columns is in two of the tiles
@pytest.mark.parametrize("tile", TILES, ids=size)
@PRODUCTS
def test_random_ones_on_this_machine(
    name: str, tile: TileFilter, draw: NetworkDraw, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, tile)
    isa = native(name)
    draw.check(filtered_twice(isa), isa, size(tile))


@few_and_more(2, 4)
@pytest.mark.parametrize("tile", [TILES[0], TILES[-1]], ids=size)
def test_random_ones_in_the_emulator(
    tile: TileFilter, draw: NetworkDraw, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, tile)
    isa = emulated("neon")
    draw.check(filtered_twice(isa), isa, size(tile))


@few_and_more(3, 6)
@pytest.mark.parametrize("tile", [TILES[0], TILES[-1]], ids=size)
@pytest.mark.parametrize("name", ["sse4", "avx2", "avx512vnni"])
def test_results_and_residuals_of_16_bits(
    name: str, tile: TileFilter, draw: NetworkDraw, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, tile)
    isa = native(name)
    draw.check(filtered_thrice(isa), isa, f"wide {size(tile)}")


@few_and_more(3, 4)
@pytest.mark.parametrize("tile", [TILES[0], TILES[-1]], ids=size)
def test_results_and_residuals_of_16_bits_in_the_emulator(
    tile: TileFilter, draw: NetworkDraw, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, tile)
    isa = emulated("neon")
    draw.check(filtered_thrice(isa), isa, f"wide {size(tile)}")


@pytest.mark.parametrize("name", ["sse4", "avx2", "avx512vnni", "neon"])
def test_only_inputs_of_16_bits_are_multiplied_as_they_are(name: str) -> None:
    graph, op = one(20, 48)
    assert filters(with_wide(graph, {op.output.name: 0}), ISAS[name])
    assert not filters(with_wide(graph, {op.input.name: 0}), ISAS[name])


def one(side: int, channels: int, window: SlidingWindow = SAME) -> tuple[IntegerGraph, Conv]:
    """A network with one convolution."""
    random = np.random.default_rng(0)
    x = Tensor("x", side, side, channels, (100,))
    op = convolution(x, channels, window, random)
    return network(x, [op], random), op


@pytest.mark.parametrize(("side", "channels"), [(8, 256), (41, 32)])
@PRODUCTS
def test_weights_in_slices_and_tiles_in_groups(
    name: str, side: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, TILES[0])
    graph, _ = one(side, channels)
    isa = native(name)
    (kernel,) = filters(graph, isa)
    assert (kernel.sizes.slice < kernel.inputs) is (channels == 256)
    assert kernel.pieces.is_one is (side == 8)
    check(graph, isa)


@pytest.mark.parametrize("tile", [*TILES, *TILES_OF_PHASES], ids=size)
@given(st.integers(4, 300), st.integers(1, MOST_INPUTS // 16), st.integers(1, 128))
def test_what_kernels_keep_on_the_stack_is_at_most_half_of_a_threads(
    tile: TileFilter, side: int, inputs: int, outputs: int
) -> None:
    """STACK in targets/runtime/native/workers.c is 2 MiB."""
    (kernel,) = filters(one(12, 32)[0], ISAS["avx2"])
    before = replace(
        kernel.before, tiling=Tiling.cover(tile, side, side, shorter=False), channels=16 * inputs
    )
    kernel = replace(kernel, before=before, channels=16 * outputs)
    kernel = replace(kernel, transforms=kernel.pieces.weights_stay or before.size <= winograd_layer.INSIDE)
    assert kernel.stack <= 1 << 20


@pytest.mark.parametrize(
    ("side", "inputs", "items", "inside"),
    [(32, 16, 4, True), (16, 32, 4, True), (8, 64, 4, True), (28, 128, 8, False), (56, 64, 8, True)],
)
def test_threads_share_tiles_where_pixels_have_few_channels(
    side: int, inputs: int, items: int, inside: bool
) -> None:
    """8 x 8 is four tiles: too few to share, and 64 channels are four blocks."""
    (kernel,) = filters(one(side, inputs)[0], ISAS["avx2"])
    assert (kernel.items, kernel.transforms) == (items, inside)
    assert kernel.pieces.is_one is (side in (8, 28))


@pytest.mark.parametrize("side", range(20, 200, 4))
def test_two_and_four_threads_have_equal_shares_of_large_maps(side: int) -> None:
    (kernel,) = filters(one(12, 32)[0], ISAS["avx2"])
    tiling = Tiling.cover(kernel.tile, side, side, shorter=False)
    pieces = replace(kernel, before=replace(kernel.before, tiling=tiling)).pieces
    assert pieces.by_tiles
    for threads in (2, 4):
        shares = [share(pieces.items, thread, threads) for thread in range(threads)]
        assert len({len(items) for items in shares}) == 1


@pytest.mark.parametrize(("height", "width"), [(14, 14), (7, 10), (9, 16), (2, 3)])
@PRODUCTS
def test_the_last_tiles_have_fewer_points(
    name: str, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, TILES[0])
    random = np.random.default_rng(0)
    x = Tensor("x", height, width, 144, (100,))
    graph = network(x, [convolution(x, 144, SAME, random)], random)
    (kernel,) = filters(graph, native(name))
    assert kernel.tiling.is_even is False
    check(graph, native(name))


@pytest.mark.parametrize(
    ("side", "channels", "by_tiles", "weights_stay"),
    [
        *[(20, 48, True, True), (41, 16, True, True), (50, 64, True, True)],
        *[(20, 112, True, False), (8, 64, False, False)],
    ],
)
@PRODUCTS
def test_shared_tiles_and_shared_channels(
    name: str, side: int, channels: int, by_tiles: bool, weights_stay: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` runs them on one thread and on three."""
    always(monkeypatch, TILES[0])
    graph, _ = one(side, channels)
    (kernel,) = filters(graph, native(name))
    assert (kernel.pieces.by_tiles, kernel.pieces.weights_stay) == (by_tiles, weights_stay)
    check(graph, native(name))


def test_a_thread_takes_many_tiles_at_a_time_since_it_transforms_weights_again() -> None:
    (kernel,) = filters(one(140, 32)[0], ISAS["avx2"])
    assert kernel.pieces.weights_stay
    assert (kernel.items, kernel.pieces.least) == (24, 6)
    (kernel,) = filters(one(28, 128)[0], ISAS["avx2"])
    assert (kernel.items, kernel.pieces.least) == (8, 1)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("tile", TILES, ids=size)
def test_the_proof_holds_up_to_the_last_sum_that_fits(tile: TileFilter, sign: int) -> None:
    _, op = one(5, 16)
    most = (INT32 - 1) // tile.power
    for isa in (ISAS["avx2"], ISAS["neon"]):
        assert is_exact(with_bias(op, most, sign), tile, isa)
        assert not is_exact(with_bias(op, most + 1, sign), tile, isa)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("tile", [TILES[0], TILES[-1]], ids=size)
@PRODUCTS
def test_the_last_sum_that_fits_is_computed(
    name: str, tile: TileFilter, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, tile)
    graph, op = one(5, 16)
    image, first, _, end = graph.operators
    assert isinstance(first, Conv)
    white = replace(first, weight=np.zeros_like(first.weight), bias=np.full_like(first.bias, 10**9))
    extreme = with_bias(op, (INT32 - 1) // tile.power, sign)
    extreme = replace(extreme, output=replace(op.output, zero_point=(128,)))
    graph = IntegerGraph((image, white, extreme, end), graph.image, graph.logits)
    assert len(filters(graph, native(name))) == 1
    check(graph, native(name))


def test_larger_sums_take_smaller_tiles_and_the_largest_none() -> None:
    graph, op = one(12, 16)
    image, first, _, end = graph.operators

    def chosen(largest: int) -> list[TileFilter]:
        extreme = with_bias(op, largest, 1)
        changed = IntegerGraph((image, first, extreme, end), graph.image, graph.logits)
        return [kernel.tile for kernel in filters(changed, ISAS["avx2"])]

    assert chosen(1 << 24) == [TileFilter(FOUR, FOUR)]
    assert chosen(1 << 28) == [TileFilter(TWO, TWO)]
    assert chosen(1 << 30) == []


def test_a_multiplier_that_would_lose_bits_is_kept() -> None:
    _, op = one(12, 16)
    (tile,) = (tile for tile in TILES if tile == TileFilter(FOUR, FOUR))
    smallest = np.float32(2.0**-126)

    def with_multiplier(value: "np.floating[Any]") -> Conv:
        return replace(op, multiplier=np.where(np.arange(16) == 3, value, op.multiplier).astype(np.float32))

    assert is_exact(with_multiplier(smallest * np.float32(tile.power)), tile, ISAS["avx2"])
    assert not is_exact(with_multiplier(smallest), tile, ISAS["avx2"])
    assert is_exact(with_multiplier(np.float32(0)), tile, ISAS["avx2"])


@pytest.mark.parametrize("name", list(ISAS))
def test_where_products_of_bytes_are_four_times_as_fast_as_those_of_words_nothing_is_transformed(
    name: str,
) -> None:
    assert bool(filters(one(28, 128)[0], ISAS[name])) is (name not in {"dotprod", "i8mm"})


@pytest.mark.parametrize(
    "window",
    [
        SlidingWindow((3, 3), stride=(2, 2), pad=(1, 1)),
        SlidingWindow((3, 3), stride=(1, 2), pad=(1, 1)),
        SlidingWindow((5, 5), pad=(2, 2)),
        SlidingWindow((3, 1)),
        SlidingWindow(),
    ],
    ids=str,
)
def test_other_windows_are_multiplied_as_they_are(window: SlidingWindow) -> None:
    assert not filters(one(12, 32, window)[0], ISAS["avx2"])


def test_where_transforms_cost_more_than_they_save_nothing_is_transformed() -> None:
    assert not filters(one(2, 32)[0], ISAS["avx2"])
