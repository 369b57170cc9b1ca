"""What a build for a Jetson makes and claims without one."""

import json
import re
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from calibration.collect import collect
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.qdq import quantize, save_quantized
from calibration.qdq_reader import read_parameters
from calibration.recipe import QuantRecipe
from targets.base import CHECKS, BuildState
from targets.devices import jetsons
from targets.errors import EngineError, TargetUnavailable
from targets.registry import find_target
from targets.tensorrt import rtx
from tests.calibration.conftest import pictures
from tests.targets.tensorrt.conftest import SHAPE, needs_rtx, quantized


def checks(folder: Path) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in json.loads((folder / CHECKS).read_text())}


def test_the_nano_is_refused_with_the_reason() -> None:
    with pytest.raises(TargetUnavailable, match=r"jetson-nano cannot run INT8: .*sm_53"):
        find_target("jetson-nano").check()


@pytest.mark.parametrize("name", [name for name, module in jetsons().items() if not module.refused])
def test_no_jetson_has_an_engine_before_it_built_one(name: str) -> None:
    target = find_target(name)
    target.check()
    assert target.state is BuildState.NOT_BUILT
    assert f"sm_{jetsons()[name].sm}" in target.fingerprint()


@needs_rtx
def test_rtx_compiles_what_goes_to_the_device(int8_model: Path, float_model: Path, tmp_path: Path) -> None:
    target = find_target("jetson")
    target.build(int8_model, tmp_path / target.engine_name, float_model=float_model)
    outcomes = checks(tmp_path)
    assert set(outcomes.values()) == {"passed"}
    assert {f"TensorRT-RTX {name}" for name in target.shipped} <= set(outcomes)
    assert onnx.load(tmp_path / target.engine_name).opset_import[0].version == 17
    said = {one["name"]: one["message"] for one in json.loads((tmp_path / CHECKS).read_text())}
    message = said["TensorRT-RTX int8_qdq.onnx"]
    assert "; 0 of the " in message  # no convolution writes INT8, so each Q behind one is in another layer
    assert re.search(r"not fused into the convolution before: \S+/QuantizeLinear \(in another layer", message)


@needs_rtx
@pytest.mark.parametrize("recipe", ["w8a8_sym_pix", "w8a8_sym_mse"])
def test_every_recipe_of_its_scheme_is_int8_to_rtx(recipe: str, float_model: Path, tmp_path: Path) -> None:
    target = find_target("jetson")
    target.build(quantized(float_model, recipe), tmp_path / target.engine_name)
    outcomes = checks(tmp_path)
    without_half = {"FP16 scales"} & set(outcomes)  # small scales leave no form in which FP16 holds them
    assert {name for name, outcome in outcomes.items() if outcome != "passed"} == without_half
    assert sum(name.startswith("TensorRT-RTX ") for name in outcomes) == 3 - len(without_half)


@needs_rtx
def test_a_layer_left_in_float_on_purpose_is_none_that_has_to_be_int8(
    int8_model: Path, float_model: Path, tmp_path: Path
) -> None:
    recipe = QuantRecipe.parse("w8a8_sym")
    graph = OnnxGraph.load(float_model)
    name = next(node.name for node in graph.nodes if "conv2" in node.name)
    placement = place(graph, recipe, [name])
    parameters = read_parameters(int8_model, graph, placement)
    save_quantized(graph, placement, parameters, recipe, tmp_path / "mixed.onnx")
    target = find_target("jetson")
    target.build(tmp_path / "mixed.onnx", tmp_path / target.engine_name)
    assert set(checks(tmp_path).values()) == {"passed"}


@needs_rtx
def test_tensors_in_fp16_by_the_recipe_compile_and_the_other_layers_are_int8(
    float_model: Path, tmp_path: Path
) -> None:
    """One that layers, an identity or a pool read: each form of the network that goes to the device."""
    recipe = QuantRecipe.parse("w8a8_sym_pix")
    graph = OnnxGraph.load(float_model)
    observed = place(graph, recipe).observed
    ranges = replace(collect(float_model, [pictures(4, SHAPE)], recipe), wide=observed[1::2])
    quantize(float_model, ranges, recipe, tmp_path / "wide.onnx")
    target = find_target("jetson")
    target.build(tmp_path / "wide.onnx", tmp_path / target.engine_name, float_model=float_model)
    outcomes = checks(tmp_path)
    without_half = {"FP16 scales"} & set(outcomes)
    assert {name for name, outcome in outcomes.items() if outcome != "passed"} == without_half
    said = {one["name"]: one["message"] for one in json.loads((tmp_path / CHECKS).read_text())}
    left = len(place(graph, recipe, wide=observed[1::2]).layers)
    assert f"all {left} convolutions multiply INT8" in said["TensorRT-RTX int8_qdq.onnx"]
    assert 0 < left < len(place(graph, recipe).layers)


def test_without_rtx_its_check_is_skipped_and_never_passed(
    int8_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtx, "installed", lambda: None)
    target = find_target("jetson")
    assert "TensorRT-RTX not installed" in target.fingerprint()
    target.build(int8_model, tmp_path / target.engine_name)
    assert checks(tmp_path) == {"placement": "passed", "TensorRT-RTX": "skipped", "exactness": "passed"}


def test_a_graph_for_cpus_is_refused_with_the_recipe_that_is_needed(
    float_model: Path, tmp_path: Path
) -> None:
    target = find_target("jetson")
    with pytest.raises(EngineError, match="TensorRT needs a recipe that begins with w8a8_sym"):
        target.build(quantized(float_model, "w8a8_asym"), tmp_path / target.engine_name)
    assert list(tmp_path.iterdir()) == []
