"""The estimate of a network's time counts what engines compute besides multiplications."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from calibration.estimated_costs import BOUNDED_STEPS, EXPONENTIAL, LayerCosts
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.recipe import QuantRecipe
from tests.calibration.residual_networks import export

RECIPE = QuantRecipe.parse("w8a8_asym")
SUMS = 8 * 16 * 16
"""The numbers that the convolution writes."""


class OneFunction(nn.Module):
    """A convolution, a function of its sums, and a classifier."""

    mean: Tensor
    scale: Tensor

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((3,), 120.0))
        self.register_buffer("scale", torch.full((3,), 0.02))
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), function, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
        )

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(((image.float() - self.mean) * self.scale).permute(0, 3, 1, 2))
        return logits


def estimated(folder: Path, function: nn.Module) -> LayerCosts:
    return LayerCosts(OnnxGraph.load(export(OneFunction(function), folder / "network.onnx").path))


@pytest.mark.parametrize(("function", "each"), [(nn.Hardswish, BOUNDED_STEPS), (nn.SiLU, EXPONENTIAL)])
def test_a_function_of_each_sum_takes_time(
    tmp_path: Path, function: Callable[[], nn.Module], each: float
) -> None:
    with_bound, with_function = (estimated(tmp_path, made) for made in (nn.ReLU6(), function()))
    bound, whole = (costs.of_network(place(costs.graph, RECIPE)) for costs in (with_bound, with_function))
    assert whole == pytest.approx(bound + each * SUMS)


def test_a_function_in_float_takes_longer_than_a_bound(tmp_path: Path) -> None:
    bound, function = (
        costs.of_float(next(node for node in costs.graph.nodes if node.op_type == "Conv"))
        for costs in (estimated(tmp_path, nn.ReLU6()), estimated(tmp_path, nn.SiLU()))
    )
    assert function > 1.5 * bound
