"""Weights that cannot leave 16 bits in other engines, and the count of those that could."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.grid import QuantizedWeight, max_scales
from calibration.no_saturation import unsaturated_rounding
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from calibration.second_order import second_order_rounding
from calibration.weight_pairs import PAIR_LIMIT, can_saturate, count_pairs, neighbours
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Separable, export
from tests.conftest import ROOT

SHAPE = (16, 16, 3)


def hessians(random: np.random.Generator, groups: int, width: int) -> NDArray[np.float64]:
    seen = random.normal(size=(groups, 2 * width, width)) * random.uniform(0.1, 3, width)
    found: NDArray[np.float64] = np.einsum("gnd,gne->gde", seen, seen) + 0.01 * np.eye(width)
    return found


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 7),
    kernel=st.sampled_from([(1, 1), (3, 3), (1, 3)]),
    groups=st.sampled_from([1, 2]),
    spread=st.sampled_from([0.05, 1.0]),
)
def test_no_pair_can_leave_16_bits(
    seed: int, channels: int, kernel: tuple[int, int], groups: int, spread: float
) -> None:
    """Whatever the inputs: a machine that saturates adds up the same. `spread` near 0: all weights large."""
    random = np.random.default_rng(seed)
    signs = random.choice([-1, 1], (4, 1, 1, 1))
    weight = (signs * (1 + spread * random.normal(size=(4, channels, *kernel)))).astype(np.float32)
    found = unsaturated_rounding(
        weight,
        max_scales(weight).astype(np.float32),
        hessians(random, groups, channels * kernel[0] * kernel[1]),
    )
    pairs = neighbours(weight.shape, groups)
    flat = found.values.reshape(4, -1)
    assert not can_saturate(flat, pairs).any()
    for inputs in (np.full(flat.shape[1], 255), random.integers(0, 256, flat.shape[1])):
        products = inputs * flat.astype(np.int64)
        sums = products[:, pairs].sum(axis=2)
        assert np.array_equal(np.clip(sums, -(2**15), 2**15 - 1), sums)
        adversarial = np.where(flat > 0, 255, 0) * flat.astype(np.int64)
        assert adversarial[:, pairs].sum(axis=2).max(initial=0) <= 255 * PAIR_LIMIT


@given(seed=st.integers(0, 2**32 - 1), channels=st.integers(1, 6), side=st.sampled_from([1, 3]))
def test_the_count_is_that_of_trying_all_inputs(seed: int, channels: int, side: int) -> None:
    """A pair saturates for some input if it does for one where both values are at an end."""
    random = np.random.default_rng(seed)
    weight = random.integers(-127, 128, (3, channels, side, side)).astype(np.int8)
    pairs = neighbours(weight.shape)
    flat = weight.reshape(3, -1).astype(int)
    ends = [(a, b) for a in (0, 255) for b in (0, 255)]
    tried = [
        [any(not -(2**15) <= a * row[i] + b * row[j] < 2**15 for a, b in ends) for i, j in pairs]
        for row in flat
    ]
    found = can_saturate(weight.reshape(3, -1), pairs)
    assert np.array_equal(found, np.array(tried, bool).reshape(found.shape))


def test_pairs_follow_each_other_through_the_window() -> None:
    assert neighbours((1, 4, 1, 1)).tolist() == [[0, 1], [2, 3]]
    assert neighbours((8, 1, 3, 3), groups=8).tolist() == []  # depthwise: exact in these engines
    of_three_channels = {tuple(pair) for pair in neighbours((1, 3, 3, 3)).tolist()}
    assert (0, 9) in of_three_channels  # the first position's first two channels
    assert (18, 1) in of_three_channels or (
        1,
        18,
    ) in of_three_channels  # channels are counted on into the next position


def test_second_order_takes_back_most_of_what_cutting_off_costs() -> None:
    random = np.random.default_rng(1)
    weight = (1 + 0.3 * random.normal(size=(16, 32, 1, 1))).astype(np.float32)
    hessian = hessians(random, 1, 32)
    scales = max_scales(weight).astype(np.float32)
    found = unsaturated_rounding(weight, scales, hessian)
    flat = weight.reshape(16, -1).astype(np.float64)

    def cost(values: NDArray[np.floating]) -> float:
        error = values - flat
        return float(np.einsum("kd,de,ke->", error, hessian[0], error))

    cut = np.clip(np.rint(flat / scales[:, None]), -64, 64) * scales[:, None]
    assert cost(found.dequantize().reshape(16, -1).astype(np.float64)) < 0.1 * cost(cut)


LARGE = """
import sys, numpy as np, onnxruntime
from targets.runtime.exact.session import AS_WRITTEN, LADDER, open_session
images = np.load(sys.argv[2])
for settings in (LADDER[0], AS_WRITTEN):
    print(*open_session(sys.argv[1], 1, settings).run(None, {"image": images})[0].ravel())
"""


def test_onnxruntime_without_vnni_agrees_with_the_exact_graph_only_after_nosat(tmp_path: Path) -> None:
    """The genuine onnxruntime with its own settings, on a processor with AVX2 alone, in the emulator."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None or os.uname().machine != "x86_64":
        pytest.skip("needs qemu-x86_64 (Debian's qemu-user) and x86-64's onnxruntime")
    network = Separable()
    for layer in (network.stem, network.depthwise, network.grouped):
        layer.weight.data.uniform_(0.5, 1).div_(layer.weight[0].numel() / 2)  # all large, as those of a blur
    source = export(network, tmp_path / "float.onnx", SHAPE).path
    images = np.maximum(pictures(4, SHAPE), 160)
    np.save(tmp_path / "images.npy", images)
    off = []
    for word in ("obq", "nosat"):
        (tmp_path / word).mkdir()
        recipe = QuantRecipe.parse(f"w8a8_asym_{word}")
        path = produce(source, lambda: [images], recipe, tmp_path / word).quantized
        files = [str(path), str(tmp_path / "images.npy")]
        command = [emulator, "-cpu", "Haswell", sys.executable, "-c", LARGE, *files]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        fast, exact = (np.array(line.split(), float) for line in done.stdout.splitlines())
        off.append(float(np.abs(fast - exact).max() / np.abs(exact).max()))
    assert off[0] > 0.02 > 10 * off[1], off


@pytest.mark.parametrize("name", ["w8a8_asym_nosat", "w8a8_asym_mse_wmse_nosat_bc", "w8a8_sym_pix_nosat"])
def test_a_graph_with_groups_and_a_classifier_has_no_such_pair(tmp_path: Path, name: str) -> None:
    """A network with three channels in a convolution, groups, a depthwise convolution and a Gemm."""
    source = export(Separable(), tmp_path / "float.onnx", SHAPE).path
    saturating = []
    for recipe in (name.replace("_nosat", ""), name):
        made = produce(source, lambda: [pictures(4, SHAPE)], QuantRecipe.parse(recipe), tmp_path)
        saturating.append(sum(layer.saturating for layer in count_pairs(made.quantized)))
    assert saturating[0] > 0 == saturating[1]


@pytest.mark.parametrize("name", ["w8a8_asym_eq_nosat", "w8a8_sym_eq_ctr_pix_wmse_nosat_bc"])
def test_so_has_one_of_a_rewritten_network(rgb_model: Path, tmp_path: Path, name: str) -> None:
    made = produce(rgb_model, lambda: [pictures(4, SHAPE)], QuantRecipe.parse(name), tmp_path)
    assert not any(layer.saturating for layer in count_pairs(made.quantized))


def saturating_sum(x: NDArray[np.int64], weight: NDArray[np.int8]) -> int:
    """What `vpmaddubsw` does, and what engines do then: two products saturate in int16, all else is int32."""
    products = np.append(x * weight.astype(np.int64), [0] * (x.size % 2))
    return int(np.clip(products[0::2] + products[1::2], -(2**15), 2**15 - 1).sum())


def test_the_worst_input_gives_the_exact_sum_in_16_bits() -> None:
    """In onnxruntime's order, and for weights rounded as usual it does not."""
    random = np.random.default_rng(0)
    weight = random.uniform(-1, 1, (8, 3, 3, 3)).astype(np.float32)
    scales, hessian = max_scales(weight).astype(np.float32), hessians(random, 1, 27)
    right = []
    for found in (unsaturated_rounding, second_order_rounding):
        rows = found(weight, scales, hessian).values.transpose(0, 2, 3, 1).reshape(8, -1)
        inputs = [(np.where(sign * row > 0, 255, 0), row) for row in rows for sign in (-1, 1)]
        right.append([saturating_sum(x, row) == int((x * row.astype(np.int64)).sum()) for x, row in inputs])
    assert all(right[0])
    assert not all(right[1])


def test_weights_that_cannot_saturate_are_rounded_as_by_obq() -> None:
    random = np.random.default_rng(0)
    weight = random.normal(size=(6, 16)).astype(np.float32)
    scales = 2 * max_scales(weight).astype(np.float32)
    uncorrelated = hessians(random, 1, 16) * np.eye(16)  # else the order of the columns shows
    found = unsaturated_rounding(weight, scales, uncorrelated)
    expected = second_order_rounding(weight, scales, uncorrelated)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.scales, scales)


def test_it_costs_less_than_a_bit_less_of_each_weight() -> None:
    """The comparison is second-order rounding to half the integers, which is safe for any pairs."""
    random = np.random.default_rng(3)
    weight = random.normal(size=(32, 16, 3, 3)).astype(np.float32)
    scales, hessian = max_scales(weight).astype(np.float32), hessians(random, 1, 144)

    def cost(found: QuantizedWeight) -> float:
        error = (found.dequantize() - weight).astype(np.float64).reshape(32, -1)
        return float(np.einsum("kd,de,ke->", error, hessian[0], error))

    half = second_order_rounding(weight, scales * np.float32(127 / 64), hessian)
    assert cost(unsaturated_rounding(weight, scales, hessian)) < 0.75 * cost(half)
