"""Ranges by what errors do to the logits, and not by how large they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import Tensor, nn

from calibration import logit_ranges
from calibration.collect import collect, images_observed
from calibration.grid import activation_grid
from calibration.histogram import BINS, Histogram
from calibration.logit_gradients import visit_gradients
from calibration.logit_ranges import least_weighted_error
from calibration.metrics import closeness
from calibration.onnx_graph import Edge, OnnxGraph
from calibration.placement import READ_8_BITS
from calibration.qdq import quantize
from calibration.ranges import Ranges
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import export
from tests.exact_session import run_exactly

SHAPE = (16, 16, 3)


class Switched(nn.Module):
    """A convolution far below zero in front of a gate of its own, looked up, which sees nothing under -3."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 10)
        self.stem.bias.data -= 6  # type: ignore[union-attr]

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(((image.float() - 120) * 0.2).permute(0, 3, 1, 2))
        logits: Tensor = self.head((x * (x + 3).clamp(0, 5) / 5).mean((2, 3)))
        return logits


def test_what_the_logits_do_not_see_is_left_out_of_the_range(tmp_path: Path) -> None:
    model = export(Switched(), tmp_path / "switched.onnx", SHAPE).path
    images, fresh = pictures(32, SHAPE), pictures(256, SHAPE, seed=1)
    recipe = QuantRecipe.parse("w8a8_asym_mse")
    plain = collect(model, [images], recipe)
    chosen = collect(model, [images], QuantRecipe.parse("w8a8_asym_mse_sens")).tensors
    name = min(plain.tensors, key=lambda one: plain.tensors[one].low)
    assert plain.tensors[name].low < -10
    assert -4 < chosen[name].low < -2.5

    def sqnr(ranges: Ranges) -> float:
        quantize(model, ranges, recipe, tmp_path / "quantized.onnx")
        return closeness(run_exactly(model, fresh), run_exactly(tmp_path / "quantized.onnx", fresh)).sqnr_db

    assert sqnr(replace(plain, tensors=plain.tensors | {name: chosen[name]})) > sqnr(plain)


def test_gradients_are_those_of_the_networks_logits(varied_model: Path) -> None:
    """For a classifier that reads t linearly, mean squares over directions are the squares of its weights."""
    graph = OnnxGraph.load(varied_model)
    last = next(node for node in graph.nodes if "logits" in node.output)
    weight = graph.constant(last.input[1])
    assert weight is not None
    tensor, squares = str(last.input[0]), np.zeros(16)

    def add(_name: str, _x: Tensor, gradient: Tensor) -> None:
        squares[:] += np.square(gradient.numpy()).sum(axis=0)

    assert sum(visit_gradients(graph, (tensor,), [pictures(256, SHAPE)], 250, add)) == 250
    assert_allclose(squares / 250, np.square(weight).sum(axis=0), rtol=0.6)


def test_gradients_of_what_different_nodes_read_add_up(varied_model: Path) -> None:
    """Of what a pool alone reads it is a part of the tensor's."""
    graph, images = OnnxGraph.load(varied_model), pictures(8, SHAPE)
    tensor = next(n.input[0] for n in graph.nodes if n.op_type in READ_8_BITS)
    edges = list(graph.consumers(tensor))
    assert len(edges) > 1

    def gradient(*read: Edge) -> NDArray[np.float32]:
        found = list[NDArray[np.float32]]()

        def keep(_name: str, _x: Tensor, gradient: Tensor) -> None:
            found.append(gradient.numpy())

        assert sum(visit_gradients(graph, (tensor,), [images], 8, keep, read)) == 8
        return np.concatenate(found)

    assert_allclose(sum(gradient(edge) for edge in edges), gradient(), atol=1e-5)
    assert_allclose(gradient(*edges), gradient(), atol=1e-5)
    assert np.abs(gradient(edges[0])).sum() != pytest.approx(np.abs(gradient()).sum(), rel=1e-3)


def test_a_rare_value_that_decides_is_not_clipped() -> None:
    """Of ten thousand values of about 1 the logits see little, of ten at 40 very much."""
    common, rare = np.random.default_rng(0).normal(size=(1, 10_000)), np.full((1, 10), 40.0)
    values = np.concatenate([common, rare], axis=1).astype(np.float32)
    seen, unseen = (Histogram(counts=np.zeros(2 * BINS)) for _ in range(2))
    seen.update(values, np.concatenate([np.full((1, 10_000), 1e-3), np.full((1, 10), 1e3)], axis=1))
    unseen.update(values, np.concatenate([np.full((1, 10_000), 1.0), np.full((1, 10), 1e-6)], axis=1))
    assert least_weighted_error(seen, Scheme.SYM).high > 39
    assert least_weighted_error(unseen, Scheme.SYM).high < 6


@pytest.mark.parametrize("scheme", list(Scheme))
def test_the_range_is_never_worse_than_the_extremes(scheme: Scheme) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = (rng.standard_t(3, (1, 500)) * rng.uniform(0.1, 10) + rng.normal()).astype(np.float32)
        weights = rng.exponential(size=(1, 500))
        histogram = Histogram(counts=np.zeros(2 * BINS))
        histogram.update(values, weights)
        centres, powers = histogram.nonzero()
        errors = []
        for found in (least_weighted_error(histogram, scheme), histogram):
            grid = activation_grid(found.low, found.high, scheme)
            rounded = grid.dequantize(grid.quantize(centres.astype(np.float32)))
            beyond = (centres < found.low) | (centres > found.high)
            counted = np.where(beyond, logit_ranges.CLIPPED, 1.0) * powers
            errors.append(float(np.square(rounded - centres) @ counted))
        assert errors[0] <= errors[1]


def test_values_that_were_not_seen_are_allowed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image has a size of its own: of 128 images the largest is seldom the largest of 3,000."""
    rng = np.random.default_rng(0)

    def images(count: int) -> NDArray[np.float32]:
        sizes = rng.lognormal(0, 0.7, (count, 1))
        return (sizes * np.abs(rng.normal(size=(count, 300)))).astype(np.float32)

    seen, fresh = [images(128) for _ in range(8)], images(3000)

    def error() -> float:
        found = 0.0
        for values in seen:
            histogram = Histogram(counts=np.zeros(2 * BINS))
            histogram.update(values, np.ones(values.shape))
            chosen = least_weighted_error(histogram, Scheme.ASYM)
            grid = activation_grid(chosen.low, chosen.high, Scheme.ASYM)
            found += float(np.square(grid.dequantize(grid.quantize(fresh)) - fresh).mean())
        return found

    allowed = error()
    monkeypatch.setattr(logit_ranges, "CLIPPED", 1.0)
    assert allowed < 0.95 * error()


def test_progress_and_notes_are_kept(rgb_model: Path, tmp_path: Path) -> None:
    recipe, seen = QuantRecipe.parse("w8a8_asym_sens"), list[int]()
    collect(rgb_model, [pictures(20, SHAPE)[:12], pictures(20, SHAPE)[12:]], recipe, seen.append)
    assert sum(seen) == images_observed(recipe, 20)
    found = Ranges("ab" * 32, "w8a8_asym_sens", 1, {}, ("sens: why",))
    found.save(tmp_path / "ranges.json")
    assert Ranges.load(tmp_path / "ranges.json") == found
