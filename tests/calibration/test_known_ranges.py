from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration.collect import collect
from calibration.known_ranges import known_ranges
from calibration.observers import Range
from calibration.onnx_graph import OnnxGraph
from calibration.recipe import ObserverName, QuantRecipe, Scheme
from tests.calibration.residual_networks import MEAN, STD

PLAIN = QuantRecipe(Scheme.SYM)


def _only_image(graph: OnnxGraph) -> Range:
    (found,) = known_ranges(graph, PLAIN).values()
    return found


def test_the_image_ranges_from_black_to_white(rgb_model: Path) -> None:
    found = _only_image(OnnxGraph.load(rgb_model))
    black, white = -np.array(MEAN) / STD, (1 - np.array(MEAN)) / STD
    assert [found.low, found.high] == pytest.approx([black.min(), white.max()])


@pytest.mark.parametrize("observer", list(ObserverName))
def test_a_dark_background_does_not_clip_the_image(rgb_model: Path, observer: ObserverName) -> None:
    """Entropy calibration alone would cut the range off just behind the background."""
    rng = np.random.default_rng(0)
    images = np.zeros((16, 16, 16, 3), np.uint8)
    images[:, 6:9, 6:9] = rng.integers(0, 256, (16, 3, 3, 3))
    graph = OnnxGraph.load(rgb_model)
    ranges = collect(rgb_model, [images], QuantRecipe(Scheme.SYM, observer))
    assert _only_image(graph) in ranges.tensors.values()


def test_without_a_normalisation_in_front_nothing_is_known(rgb_model: Path) -> None:
    model = onnx.load(rgb_model)
    next(node for node in model.graph.node if node.op_type == "Mul").op_type = "Div"
    assert known_ranges(OnnxGraph(model), PLAIN) == {}
