"""Which pairs of weights can leave int16, against a count by hand and the instruction written down."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.onnx_graph import OnnxGraph, attribute
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from calibration.weight_pairs import can_saturate, count_pairs, neighbours
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported, Separable, export

SIZE = (16, 16, 3)


def counted_by_hand(weight: NDArray[np.int8], groups: int) -> tuple[int, int]:
    """Pairs and those that can saturate, loop by loop: of each output channel, in both orders."""
    outputs, channels = weight.shape[:2]
    if groups > 1 and channels == 1 and outputs == groups:
        return 0, 0
    places = [(r, s) for r in range(weight.shape[2]) for s in range(weight.shape[3])]
    through = [(c, *place) for place in places for c in range(channels)]
    pairs = {(through[i], through[i + 1]) for i in range(0, len(through) - 1, 2)}
    pairs |= {((c, *place), (c + 1, *place)) for place in places for c in range(0, channels - 1, 2)}
    found = 0
    for k in range(outputs):
        for a, b in pairs:
            one, other = int(weight[k][a]), int(weight[k][b])
            sums = [x * one + y * other for x in (0, 255) for y in (0, 255)]
            found += max(sums) > 32767 or min(sums) < -32768
    return outputs * len(pairs), found


@pytest.mark.parametrize("name", ["w8a8_asym_mse", "w8a8_sym_mse"])
def test_the_count_is_the_one_by_hand(exported: Exported, tmp_path: Path, name: str) -> None:
    made = produce(
        exported.path, lambda: [pictures(4, exported.image_shape)], QuantRecipe.parse(name), tmp_path
    )
    _compare(made.quantized)


def test_so_it_is_in_grouped_and_depthwise_convolutions(tmp_path: Path) -> None:
    source = export(Separable(), tmp_path / "float.onnx", SIZE).path
    made = produce(source, lambda: [pictures(4, SIZE)], QuantRecipe.parse("w8a8_asym"), tmp_path)
    counts = _compare(made.quantized)
    assert [count == (0, 0) for count in counts] == [False, True, False, False]


def _compare(model: Path) -> list[tuple[int, int]]:
    graph = OnnxGraph.load(model)
    expected = []
    for node in graph.nodes:
        dequantized = graph.producer(node.input[1]) if node.op_type in ("Conv", "Gemm") else None
        weight = None if dequantized is None else graph.constant(dequantized.input[0])
        if weight is not None:
            kernel = (1, 1) if weight.ndim == 2 else weight.shape[2:]
            expected.append(
                counted_by_hand(weight.reshape(*weight.shape[:2], *kernel), attribute(node, "group", 1))
            )
    found = [(layer.pairs, layer.saturating) for layer in count_pairs(model)]
    assert found == expected
    assert sum(pairs for pairs, _ in found) > 0
    return found


def test_a_pair_is_safe_just_when_no_input_takes_it_out_of_int16() -> None:
    every = np.arange(-128, 128)
    a, b = (part.ravel() for part in np.meshgrid(every, every))
    ends = np.array([x * a + y * b for x in (0, 255) for y in (0, 255)])
    expected = (ends.max(axis=0) > 32767) | (ends.min(axis=0) < -32768)
    weight = np.stack([a, b], axis=1).astype(np.int8)
    np.testing.assert_array_equal(can_saturate(weight, np.array([[0, 1]]))[:, 0], expected)


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_every_two_that_follow_each_other_are_neighbours(k: int, c: int, r: int, s: int) -> None:
    pairs = {tuple(pair) for pair in neighbours((k, c, r, s)).tolist()}
    order = np.arange(c * r * s).reshape(c, r, s).transpose(1, 2, 0).ravel()
    assert {(order[i], order[i + 1]) for i in range(0, len(order) - 1, 2)} <= pairs
    if c % 2 == 0:
        assert len(pairs) == len(order) // 2
