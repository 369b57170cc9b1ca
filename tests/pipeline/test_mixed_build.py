"""A build that may leave layers in float: asked for with calibration.max_drop."""

from pathlib import Path

import onnx

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.report.pages.report_page import render_html
from tests.pipeline.harmed_weights import write_harmed


def build(out: Path, limit: float, tuning: int, **options: object) -> Build:
    settings = {
        "model": "resnet20-fashion",
        "target": "reference",
        "out": out,
        "calibration.images": 32,
        "calibration.recipe": "w8a8_sym",
        "calibration.tuning_images": tuning,
        "calibration.max_drop": limit,
        "validation.images": 100,
    }
    return Build(load_config(BuildConfig, None, settings | options), Silent())


def test_a_limit_too_strict_for_the_tuning_images_leaves_all_in_int8_and_says_so(warm_out: Path) -> None:
    report = build(warm_out, 0.01, 40).lasting_report.load()
    assert report.mixed is not None
    assert not report.mixed.passes
    assert report.mixed.layers == ()
    assert report.mixed.images == 40
    assert "A drop within 0.01 points cannot be shown on 40 tuning images" in render_html(report)


def test_the_layer_that_int8_ruins_is_in_float_in_the_graph_and_in_the_report(
    tmp_path: Path,
) -> None:
    made = build(tmp_path / "out", 8.0, 200, checkpoint=write_harmed(tmp_path))
    report = made.lasting_report.load()
    assert report.mixed is not None
    assert report.mixed.passes
    names = [layer.layer for layer in report.mixed.layers]
    assert any("layer2.1/conv2" in name for name in names)
    graph = onnx.load(made.int8_model.path).graph
    dequantized = {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    in_float = [n.name for n in graph.node if n.op_type == "Conv" and n.input[1] not in dequantized]
    assert sorted(in_float) == sorted(names)
    used = {report.subject.calibration_digest, report.subject.evaluation_digest}
    assert report.mixed.images_digest not in used
    html = render_html(report)
    assert "More than 8 bits" in html
    assert "<td>fp32</td>" in html
    assert names[0] in html
