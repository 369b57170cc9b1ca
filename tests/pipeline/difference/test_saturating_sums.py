"""Logits of a program whose 16-bit sums saturate are told from those of another network."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.judged import difference_of
from pipeline.difference.saturating_sums import SaturatingConv, saturated
from pipeline.difference.side import Array, Side, graph_side
from pipeline.report.model.difference_report import Sameness
from targets.tvm.importer import import_graph
from targets.tvm.operators.convolution import Conv
from tests.pipeline.difference.small_pair import Pair

RECIPE = "w8a8_asym_mse_bc"


def large(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a Q/DQ network whose stored weights of two layers are nearly all at the ends of 8 bits."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.name.startswith(("two", "down")):
            values = onnx.numpy_helper.to_array(tensor)
            values = np.where(values < 0, -127, 127).astype(np.int8) if values.ndim == 4 else values
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return changed


def recorded(side: Side, values: Array) -> Side:
    """Return logits that another program recorded of a side's network."""
    return replace(side, name="recorded", graph=None, size=None, logits=lambda _: values)


def test_neighbours_are_added_in_16_bits(tmp_path: Path, pair: Pair) -> None:
    """Two that follow each other in the order row, column, channel, as vpmaddubsw gets them."""
    onnx.save(large(pair.quantised[RECIPE]), tmp_path / "model.onnx")
    layers = [op for op in import_graph(tmp_path / "model.onnx").operators if isinstance(op, Conv)]
    layer = next(op for op in layers if op.weight.shape == (8, 8, 3, 3) and abs(op.weight).min() == 127)
    shape = (1, layer.input.height, layer.input.width, layer.input.channels)
    x = np.random.default_rng(0).choice(np.array([0, 250], np.uint8), shape)

    found = SaturatingConv(**{one.name: getattr(layer, one.name) for one in fields(layer)}).accumulate(x)

    window = x[0, 4:7, 6:9].astype(np.int64)  # what output (5, 7) reads
    for output in range(8):
        weight = layer.weight[output].transpose(1, 2, 0).astype(np.int64)
        pairs = (window * weight).reshape(-1, 2).sum(1)
        assert abs(pairs).max() > 2**15, "some saturate"
        wanted = np.clip(pairs, -(2**15), 2**15 - 1).sum() - layer.input.zero_point[0] * weight.sum()
        assert found[0, 5, 7, output] == wanted + layer.bias[output]


def test_a_program_that_saturates_is_named(pair: Pair) -> None:
    graph = graph_side(large(pair.quantised[RECIPE]), "graph")
    assert graph.graph is not None
    both = saturated(graph.graph, pair.pictures)
    assert both is not None

    found = difference_of(graph, recorded(graph, both[1]), pair.pictures)

    assert found.verdict is Sameness.DIFFERENT
    assert [fault.kind for fault in found.faults] == [FaultKind.SATURATION]
    assert found.faults[0].after_db == pytest.approx(200)


def test_a_program_without_saturation_is_not_accused(pair: Pair) -> None:
    graph = graph_side(large(pair.quantised[RECIPE]), "graph")
    exact = graph.logits(pair.pictures)
    noise = np.random.default_rng(0).normal(0, exact.std(), exact.shape)
    for values in (exact, exact + 0.03 * noise, exact + 2 * noise):
        found = difference_of(graph, recorded(graph, values.astype(np.float32)), pair.pictures)
        assert found.faults == ()
