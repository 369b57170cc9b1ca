"""Means over many channels, as spatial attention and local response normalisation have them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from tests.pipeline.models.foreign.in_integers import check_integers
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save


@pytest.mark.parametrize("channels", [64, 65, 200])
@pytest.mark.parametrize("kind", ["attention", "unsqueezed", "local response"])
def test_they_are_computed_in_integers_for_any_number(kind: str, channels: int, tmp_path: Path) -> None:
    gate = [
        helper.make_node("ReduceMean", ["r"], ["m"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["m"], ["s"]),
        helper.make_node("Mul", ["r", "s"], ["g"]),
    ]
    unsqueezed = [
        helper.make_node("ReduceMean", ["r"], ["flat"], axes=[1], keepdims=0),
        helper.make_node("Unsqueeze", ["flat", "one"], ["m"]),
        *gate[1:],
    ]
    ways = {
        "attention": gate,
        "unsqueezed": unsqueezed,
        "local response": [helper.make_node("LRN", ["r"], ["g"], size=5, alpha=0.01)],
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["r"]),
        *ways[kind],
        helper.make_node("Conv", ["g", "v"], ["o"]),
        helper.make_node("GlobalAveragePool", ["o"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    weights: dict[str, NDArray[Any]] = {
        "w": floats(channels, 3, 3, 3),
        "v": floats(10, channels, 3, 3) * np.float32(0.1),
        "one": np.array([1]),
    }
    file = save(graph(nodes, weights, shape=("N", 3, 16, 16)), tmp_path)
    source = described(file, Description.model_validate({"size": [16, 16], "channels": 3}))
    check_integers(adopt(source, True, lambda _: None), tmp_path)
