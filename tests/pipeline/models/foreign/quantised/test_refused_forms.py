"""Quantised graphs that have no exact form here are refused, and the message names the node."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from pipeline.errors import CheckpointError
from tests.pipeline.models.foreign.quantised.forms import (
    Form,
    node,
    uint8_weights,
)
from tests.pipeline.models.foreign.quantised.others import (
    model,
    read,
)


def two_grids() -> Form:
    nodes, constants = uint8_weights()
    constants["other"] = np.array(0.03, np.float32)
    nodes[1].input[1] = "other"
    return nodes, constants


def many_scales() -> Form:
    nodes, constants = uint8_weights()
    constants |= {"x_s": np.array([0.01, 0.02, 0.03], np.float32), "x_z": np.full(3, 120, np.uint8)}
    for one in nodes[:2]:
        one.attribute.append(helper.make_attribute("axis", 1))
    return nodes, constants


def dynamic() -> Form:
    _, constants = uint8_weights()
    return [node("DynamicQuantizeLinear", ["input"], ["q", "s", "z"], "dynamic")], constants


def computed_on_integers() -> Form:
    nodes, constants = uint8_weights()
    constants["x_s2"] = np.array(1, np.float32)
    nodes.insert(1, node("Abs", ["x_q"], ["x_c"], "absolute"))
    nodes[2].input[0] = "x_c"
    return nodes, constants


def bounds_that_are_computed() -> Form:
    nodes, constants = uint8_weights()
    constants["low"] = np.array(3, np.uint8)
    nodes.insert(1, node("Clip", ["x_q", "low", "high"], ["x_c"], "limit"))
    nodes.insert(1, node("ReduceMax", ["x_q"], ["high"], keepdims=0))
    nodes[3].input[0] = "x_c"
    return nodes, constants


def a_scale_of_nothing() -> Form:
    nodes, constants = uint8_weights()
    constants["x_s"] = np.array(0, np.float32)
    return nodes, constants


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (two_grids, r"DequantizeLinear 'x_DQ' has another grid than 'x_Q', whose integers it reads"),
        (many_scales, r"QuantizeLinear 'x_Q' gives an activation 3 scales"),
        (dynamic, r"DynamicQuantizeLinear 'dynamic' is of dynamic quantisation, whose scales"),
        (computed_on_integers, r"Abs 'absolute' computes with integers"),
        (bounds_that_are_computed, r"(ReduceMax|Clip).* (computes with integers|bounds integers by what)"),
        (a_scale_of_nothing, r"QuantizeLinear 'x_Q' has the scale 0; scales are finite and above zero"),
    ],
    ids=lambda given: given.__name__ if callable(given) else "",
)
def test_what_has_no_exact_form_is_refused_by_the_nodes_name(
    form: Callable[[], Form], why: str, tmp_path: Path
) -> None:
    nodes, constants = form()
    if form is dynamic:
        nodes.append(node("Flatten", ["q"], ["output"]))
    onnx.save(model(nodes, constants), tmp_path / "theirs.onnx")
    with pytest.raises(CheckpointError, match=why):
        read(tmp_path / "theirs.onnx")


def test_16_bits_are_refused_by_the_nodes_name(tmp_path: Path) -> None:
    nodes, constants = uint8_weights()
    constants["x_z"] = np.array(120, np.uint16)
    onnx.save(model(nodes, constants, opset=21), tmp_path / "theirs.onnx")
    with pytest.raises(CheckpointError, match=r"QuantizeLinear 'x_Q' is of uint16, and edgec"):
        read(tmp_path / "theirs.onnx")
