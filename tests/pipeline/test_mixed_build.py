"""A build that may leave layers in float: asked for with calibration.max_drop."""

import json
from pathlib import Path

import onnx
import pytest
from safetensors.torch import load_file, save_file

from pipeline.data.embedded import EMBEDDED
from pipeline.report.model.build_report import Report
from tests.conftest import Edgec

QUICK = """
model = "resnet20-fashion"
target = "reference"
[calibration]
images = 32
recipe = "w8a8_sym"
tuning_images = {tuning}
max_drop = {limit}
[validation]
images = 300
[latency]
seconds = 0.2
"""


def _built(edgec: Edgec, folder: Path, limit: float, tuning: int, *more: str | Path) -> Report:
    config = folder / "edgec.toml"
    config.write_text(QUICK.format(limit=limit, tuning=tuning))
    done = edgec("build", "--config", config, "--out", folder / "out", "--json", *more)
    assert done.returncode in (0, 1), done.stderr
    return Report.model_validate_json(json.dumps(json.loads(done.stdout)["report"]))


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights with one layer that 8 bits ruin: huge weights on a channel that is always 0."""
    weights = load_file(EMBEDDED / "resnet20_fashion.safetensors")
    weights["layer2.1.bn1.weight"][0] = 0
    weights["layer2.1.bn1.bias"][0] = -10
    weights["layer2.1.conv2.weight"][:, 0] = 500
    path = tmp_path_factory.mktemp("harmed") / "weights.safetensors"
    save_file(weights, path)
    return path


def test_a_limit_too_strict_for_the_tuning_images_leaves_all_in_int8_and_says_so(
    edgec: Edgec, tmp_path: Path
) -> None:
    report = _built(edgec, tmp_path, 0.01, 40)
    assert report.mixed is not None
    assert not report.mixed.passes
    assert report.mixed.layers == ()
    assert report.mixed.images == 40
    html = (tmp_path / "out/resnet20-fashion-reference/report.html").read_text()
    assert "A drop within 0.01 points cannot be shown on 40 tuning images" in html


def test_the_layer_that_int8_ruins_is_in_float_in_the_graph_and_in_the_report(
    edgec: Edgec, harmed: Path, tmp_path: Path
) -> None:
    report = _built(edgec, tmp_path, 8.0, 200, "--checkpoint", harmed)
    assert report.mixed is not None
    assert report.mixed.passes
    names = [layer.layer for layer in report.mixed.layers]
    assert any("layer2.1/conv2" in name for name in names)
    graph = onnx.load(tmp_path / "out/resnet20-fashion-reference/model.int8.onnx").graph
    dequantized = {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    in_float = [n.name for n in graph.node if n.op_type == "Conv" and n.input[1] not in dequantized]
    assert sorted(in_float) == sorted(names)
    used = {report.subject.calibration_digest, report.subject.evaluation_digest}
    assert report.mixed.images_digest not in used
    html = (tmp_path / "out/resnet20-fashion-reference/report.html").read_text()
    assert "Left in fp32" in html
    assert names[0] in html
