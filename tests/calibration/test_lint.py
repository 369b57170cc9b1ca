from pathlib import Path

import onnx
import pytest

from calibration.collect import collect
from calibration.lint import lint
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.broken_graphs import BROKEN, Breaks
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, export


@pytest.fixture(scope="module", params=[False, True], ids=["shortcut_a", "projection"])
def quantized(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lint")
    model = export(TinyResNet(projection=request.param), folder / "model.onnx")
    recipe = QuantRecipe(Scheme.SYM)
    quantize(model.path, collect(model.path, [pictures(4, (16, 16, 3))], recipe), recipe, folder / "q.onnx")
    return folder / "q.onnx"


@pytest.mark.parametrize(("breaks", "what"), BROKEN, ids=[what for _, what in BROKEN])
def test_each_rule_finds_its_break_and_names_the_node(
    breaks: Breaks, what: str, quantized: Path, tmp_path: Path
) -> None:
    model = onnx.load(quantized)
    assert lint(quantized, Scheme.SYM) == []
    node = breaks(model.graph)
    onnx.save(model, tmp_path / "broken.onnx")
    findings = lint(tmp_path / "broken.onnx", Scheme.SYM)
    assert any(f.node == node and what in f.what and f.why for f in findings), findings


def test_a_graph_for_cpus_is_not_one_for_tensorrt_and_the_other_way_round(
    tmp_path: Path, rgb_model: Path
) -> None:
    images = pictures(4, (16, 16, 3))
    for made, checked in ((Scheme.SYM, Scheme.ASYM), (Scheme.ASYM, Scheme.SYM)):
        recipe = QuantRecipe(made)
        quantize(rgb_model, collect(rgb_model, [images], recipe), recipe, tmp_path / "q.onnx")
        assert lint(tmp_path / "q.onnx", checked)


def test_a_float_graph_has_a_finding_for_every_layer(rgb_model: Path) -> None:
    findings = lint(rgb_model, Scheme.ASYM)
    layers = [n.name for n in onnx.load(rgb_model).graph.node if n.op_type in ("Conv", "Gemm")]
    assert set(layers) <= {f.node for f in findings}


def test_a_layer_left_in_float_on_purpose_is_no_finding(rgb_model: Path) -> None:
    layers = [n.name for n in onnx.load(rgb_model).graph.node if n.op_type in ("Conv", "Gemm")]
    findings = lint(rgb_model, Scheme.ASYM, float_layers=layers)
    assert not set(layers) & {f.node for f in findings}
