"""The estimate of a Jetson's time: FP16 takes more than INT8, and at most twice as long."""

from pathlib import Path

import onnx
import pytest

from calibration.errors import ModelError
from calibration.estimated_gpu_costs import GpuCosts
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.recipe import QuantRecipe

SYM = QuantRecipe.parse("w8a8_sym_pix")


def costs_of(model: Path) -> GpuCosts:
    graph = OnnxGraph.load(model)
    return GpuCosts(graph, place(graph, SYM))


@pytest.mark.parametrize("name", ["varied_model", "rgb_model"])
def test_fp16_everywhere_takes_about_twice_as_long(name: str, request: pytest.FixtureRequest) -> None:
    costs = costs_of(request.getfixturevalue(name))
    every = [costs.of_wide(source) for source in costs.placement.observed]
    assert all(cost > 0 for cost in every)
    assert 0.4 < sum(every) / costs.of_network() < 2.0


def test_a_layer_of_much_arithmetic_is_bound_by_it(rgb_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = costs_of(rgb_model)
    by_bytes = costs.of_network()
    monkeypatch.setattr("calibration.estimated_gpu_costs.MULTIPLICATIONS_A_BYTE", 0.01)
    assert costs.of_network() > 10 * by_bytes
    monkeypatch.setattr("calibration.estimated_gpu_costs.MULTIPLICATIONS_A_BYTE", 1e9)
    assert costs.of_network() == pytest.approx(by_bytes, rel=0.5)


def test_a_size_that_is_not_known_is_an_error(varied_model: Path, tmp_path: Path) -> None:
    model = onnx.load(varied_model)
    for dim in list(model.graph.input[0].type.tensor_type.shape.dim)[1:3]:
        dim.dim_param = "side"
    onnx.save(model, tmp_path / "any.onnx")
    with pytest.raises(ModelError, match="is not known before the network runs"):
        costs_of(tmp_path / "any.onnx").of_network()
