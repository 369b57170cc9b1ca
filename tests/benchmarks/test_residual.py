"""The page's figures come from the networks that the page describes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from benchmarks import residual
from pipeline.models import resnet
from pipeline.models.architecture import Architecture
from pipeline.models.zoo import find_model
from pipeline.stages.export import write_onnx


def test_gradients_of_plain_networks_grow_towards_the_input_and_those_of_residual_ones_less() -> None:
    plain, skipping = (
        residual.gradient_norms(Architecture("cifar", 56, shortcut), seed=0) for shortcut in ("none", "A")
    )
    assert len(plain) == len(skipping) == 27
    assert plain[0] / plain[-1] > 20 * skipping[0] / skipping[-1]


@pytest.mark.parametrize("name", ["resnet14-fashion", "plain14-fashion"])
def test_every_block_has_one_output_in_order(name: str, tmp_path: Path) -> None:
    model = find_model(name)
    torch.manual_seed(0)
    network = resnet.build(model.architecture, 1, 10).eval()
    write_onnx(
        resnet.FromPixels(network, model.mean, model.std), model.input_shape, True, tmp_path / "m.onnx"
    )
    graph = onnx.load(tmp_path / "m.onnx")
    outputs = residual.block_outputs(graph)
    assert len(outputs) == 6
    producers = {node.output[0]: node.name for node in graph.graph.node}
    assert [producers[output].split("/")[2:4] for output in outputs] == [
        [f"layer{stage}", f"layer{stage}.{block}"] for stage in (1, 2, 3) for block in (0, 1)
    ]


def test_noise_is_measured_behind_every_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def untrained(name: str, epochs: int) -> torch.nn.Module:
        torch.manual_seed(epochs)
        return resnet.build(find_model(name).architecture, 1, 10).eval()

    monkeypatch.setattr(residual, "briefly_trained", untrained)
    found = residual.block_sqnr("resnet8-fashion-16px", 1, tmp_path)
    assert len(found) == 3
    assert all(15 < value < 60 for value in found)
    assert np.isfinite(found).all()
