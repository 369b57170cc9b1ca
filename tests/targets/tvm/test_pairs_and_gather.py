"""What convolutions read in another form than stored: rows in pairs, and gathered windows of images."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from targets.tvm import winograd_layer
from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.isa import ISAS, Isa
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.kernels.gather import worth_gathering
from targets.tvm.kernels.pair import PairKernel
from targets.tvm.lower import lower
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.float_boundary import Dequantise
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.schedule import choose
from targets.tvm.tensors import Dense, Tensor
from targets.tvm.tile import ConvShape, Tile
from tests.targets.tvm.against_oracle import EMULATED, check, emulated

WINDOWS = (
    SlidingWindow((7, 7), (2, 2), (3, 3)),
    SlidingWindow((3, 3), (1, 1), (1, 1)),
    SlidingWindow((3, 3), (2, 2), (1, 1)),
    SlidingWindow((3, 3), (1, 1), (2, 2), (2, 2)),
    SlidingWindow((1, 1), (1, 1)),
    SlidingWindow((1, 1), (2, 2)),
    SlidingWindow((3, 1), (1, 1), (1, 0)),
)


@pytest.fixture(autouse=True)
def multiplied_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first convolution is not transformed, so that its windows are gathered without dot product too."""
    monkeypatch.setattr(winograd_layer, "TILES_OF_PHASES", ())


def network(side: int, channels: int) -> IntegerGraph:
    """One convolution behind the other on a square image, the second one of equal maps with a residual."""
    random = np.random.default_rng(side)
    tensor = Tensor("image", side, side, 3, (0, 100, 255))
    operators: list[Image | Conv] = [Image(tensor)]
    for i, window in enumerate(WINDOWS):
        height, width = (
            (n + 2 * p - (k - 1) * d - 1) // s + 1
            for n, p, k, d, s in zip(
                (tensor.height, tensor.width),
                window.pad,
                window.kernel,
                window.dilation,
                window.stride,
                strict=True,
            )
        )
        output = Tensor(f"t{i}", height, width, channels, (100,))
        same = i > 0 and (tensor.height, tensor.width) == (height, width)
        operators.append(convolution(random, tensor, output, window, Residual(tensor, 0.5) if same else None))
        tensor = output
    logits = Tensor("logits", 1, 1, 10, (0,))
    operators.append(
        convolution(random, tensor, logits, SlidingWindow((tensor.height, tensor.width)), None, real=True)
    )
    return IntegerGraph(tuple(operators), operators[0].output, logits)


def convolution(
    random: np.random.Generator,
    x: Tensor,
    output: Tensor,
    window: SlidingWindow,
    residual: Residual | None,
    real: bool = False,
) -> Conv:
    weight = random.integers(-127, 128, (output.channels, x.channels, *window.kernel)).astype(np.int8)
    bias = random.integers(-1000, 1000, output.channels).astype(np.int32)
    gain = random.uniform(0.5, 2, output.channels) / (100 * weight[0].size ** 0.5)
    return Conv(
        f"conv {output.name}",
        x,
        output,
        weight,
        bias,
        gain.astype(np.float32),
        window,
        1,
        residual,
        Clip(),
        real,
    )


@pytest.mark.parametrize(
    ("name", "side"), [("neon", 21), ("dotprod", 21), ("i8mm", 21), ("i8mm", 28)], ids=str
)
def test_results_are_the_oracles(name: str, side: int) -> None:
    check(network(side, 192), emulated(name))


def test_the_row_that_is_computed_for_nothing_is_not_among_float_results() -> None:
    random = np.random.default_rng(0)
    image, inside = Tensor("image", 11, 11, 3, (0, 100, 255)), Tensor("inside", 11, 11, 192, (100,))
    sums, maps = Tensor("sums", 11, 11, 192, (0,)), Dense("maps", (1, 192, 11, 11))
    operators = (
        Image(image),
        convolution(random, image, inside, SlidingWindow((3, 3), (1, 1), (1, 1)), None),
        convolution(random, inside, sums, SlidingWindow((3, 3), (1, 1), (1, 1)), None, real=True),
        Dequantise("maps", sums, maps, 1.0, real=True),
    )
    graph, isa = IntegerGraph(operators, image, maps), emulated("i8mm")
    assert any(isinstance(step.kernel, PairKernel) for step in lower(graph, isa).steps)
    check(graph, isa)


@pytest.mark.parametrize("name", list(EMULATED))
def test_two_turns_of_a_loop_at_once_change_no_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(shape: ConvShape, isa: Isa) -> Tile:
        return replace(choose(shape, isa), unroll=2)

    monkeypatch.setattr("targets.tvm.weights.choose", twice)
    check(network(21, 48), emulated(name))


@pytest.mark.parametrize(("side", "heights"), [(21, [11, 6, 6, 6]), (28, [14, 7, 7, 7, 4, 4])])
def test_the_matrix_product_reads_rows_in_pairs_where_few_are_computed_for_nothing(
    side: int, heights: list[int]
) -> None:
    steps = lower(network(side, 192), ISAS["i8mm"]).steps
    behind = [b.kernel for a, b in pairwise(steps) if isinstance(a.kernel, PairKernel)]
    assert [
        kernel.height for kernel in behind if isinstance(kernel, ConvKernel) and kernel.windows.pairs
    ] == heights


def paired(side: int, channels: int) -> set[str]:
    """The convolutions whose rows are paired first."""
    steps = lower(network(side, channels), ISAS["i8mm"]).steps
    return {step.node.partition(":")[0] for step in steps if isinstance(step.kernel, PairKernel)}


def test_few_products_do_not_pay_for_pairs() -> None:
    assert paired(28, 32) == {"conv t1", "conv t3"}  # 3 x 3 with stride 1
    assert paired(28, 16) == {"conv t1"}  # the other map is smaller
    assert paired(12, 16) == set()


def test_windows_of_an_image_are_gathered_where_its_rows_fill_no_vector() -> None:
    for name, gathered in {"neon": True, "dotprod": True, "i8mm": False, "avx2": False}.items():
        kernels = [step.kernel for step in lower(network(33, 48), ISAS[name]).steps]
        convolutions = [kernel for kernel in kernels if isinstance(kernel, ConvKernel)]
        first, *others = [kernel.windows.gather is not None for kernel in convolutions]
        assert first is gathered
        assert not any(others)


@pytest.mark.parametrize(
    ("rows", "run", "granule", "worth"),
    [(7, 21, 16, True), (7, 21, 4, True), (7, 21, 8, False), (3, 48, 16, False), (1, 21, 16, False)],
)
def test_gathering_pays_where_it_saves_a_tenth_of_the_granules(
    rows: int, run: int, granule: int, worth: bool
) -> None:
    assert worth_gathering(rows, run, granule) is worth
