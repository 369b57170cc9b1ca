"""The statistics of channels that `eq` scales them by."""

from pathlib import Path

import numpy as np
import pytest

from calibration import noise
from calibration.noise import ChannelStatistics, channel_statistics
from calibration.onnx_graph import OnnxGraph
from tests.calibration.conftest import pictures

SHAPE = (16, 16, 3)


def _statistics(model: Path, images: int, seed: int) -> ChannelStatistics:
    graph = OnnxGraph.load(model)
    tensor = next(node.output[0] for node in graph.nodes if node.op_type == "Relu")
    return channel_statistics(graph, (tensor,), [pictures(images, SHAPE, seed)], lambda _: None)[tensor]


def test_a_few_images_tell_how_large_channels_are_on_others(
    rgb_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest values of 16 images are exceeded in nearly every channel by those of 1,000 others."""
    monkeypatch.setattr(noise, "IMAGES", 1000)
    expected = _statistics(rgb_model, 16, seed=0).extreme
    monkeypatch.setattr(noise, "EXPECTED_OF", 1)  # the largest seen
    seen, later = _statistics(rgb_model, 16, seed=0).extreme, _statistics(rgb_model, 1000, seed=1).extreme
    assert np.mean((later > seen).numpy()) > 0.7
    assert np.mean((later > expected).numpy()) < 0.3


def test_powers_and_gains_do_not_depend_on_how_images_come_in_batches(rgb_model: Path) -> None:
    graph, images = OnnxGraph.load(rgb_model), pictures(32, SHAPE)
    tensor = next(node.output[0] for node in graph.nodes if node.op_type == "Relu")
    whole, parts = (
        channel_statistics(graph, (tensor,), batches, lambda _: None)[tensor]
        for batches in ([images], [images[:16], images[16:]])
    )
    for name in ("gain", "power", "extreme"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-6)
