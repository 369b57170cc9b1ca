"""A network that came quantised, as the model or beside its float one: built, validated, and called that."""

import json
from pathlib import Path

import onnx
import pytest
from onnxruntime.quantization import QuantFormat, QuantType

from calibration.errors import LintError
from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.errors import CheckpointError, UsageError
from pipeline.progress import Silent
from pipeline.report.markdown import report_summary
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.pages.report_page import render_html
from tests.conftest import Edgec
from tests.pipeline.data.pictures import png, write_folder
from tests.pipeline.models.foreign.mobile_networks import MobileNetLike
from tests.pipeline.models.foreign.quantised.others import (
    as_it_came,
    by_onnxruntime,
    decibels,
    normalised,
    pictures,
)
from tests.pipeline.report.samples import printed

SAID = 'mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\nfit = "stretch"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`float.onnx`, and `theirs.onnx`, which onnxruntime made of it; pictures of ten classes."""
    folder = tmp_path_factory.mktemp("quantised")
    by_onnxruntime(
        MobileNetLike,
        folder,
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QUInt8,
    )
    (folder / "float.toml").write_text(SAID)
    (folder / "theirs.toml").write_text(SAID)
    shown = pictures(60, seed=5)
    write_folder(
        folder / "data",
        {f"{'test' if i < 40 else 'train'}/{i % 10}/{i}.png": png(one) for i, one in enumerate(shown)},
    )
    return folder


def build(folder: Path, model: str, **options: object) -> Build:
    chosen = {
        "model": str(folder / model),
        "data": folder / "data",
        "target": "reference",
        "out": folder / "out",
        "calibration.images": 8,
        "latency.seconds": 0.1,
    }
    return Build(load_config(BuildConfig, None, chosen | options), Silent())


def test_as_the_model_it_is_built_without_a_float_network_and_the_report_says_so(folder: Path) -> None:
    made = build(folder, "theirs.onnx")
    report = made.report.load()
    shown = pictures(8, seed=9)
    with made.target.open(made.engine.path) as runner:
        found = runner.infer(shown)
    assert decibels(as_it_came(folder / "theirs.onnx", normalised(shown)), found) > 100
    assert report.subject.calibration_images == 0
    assert isinstance(report.latency_fp32, NotMeasured)
    assert report.speed is None
    (row,) = report.compared
    assert row.name == "INT8, the network as it came"
    assert not row.baseline
    for text in (printed(report, 300), render_html(report), report_summary(report)):
        assert "the quantised network itself without its roundings" in text
    said = {check.name: check.message for check in report.checks}
    assert "the same class for" in said["as it came"]
    assert "they are split into two or three, exactly" in said["wide weights"]


def test_what_stands_for_float_has_its_weights_and_its_bounds(folder: Path) -> None:
    made = build(folder, "theirs.onnx")
    model = onnx.load(made.float_model.path)
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"QuantizeLinear", "DequantizeLinear"}
    shown = pictures(8, seed=9)
    from targets.runtime.reference_runner import open_engine

    with open_engine(made.float_model.path) as runner:
        found = runner.infer(shown)
    assert 15 < decibels(as_it_came(folder / "theirs.onnx", normalised(shown)), found) < 60


def test_beside_its_float_network_it_is_compared_with_that(folder: Path) -> None:
    (folder / "theirs.toml").unlink()  # then the float network's description counts
    made = build(folder, "float.onnx", **{"calibration.quantized": folder / "theirs.onnx"})
    report = made.lasting_report.load()
    (folder / "theirs.toml").write_text(SAID)
    assert report.fp32_is is None
    shown = pictures(8, seed=9)
    with made.target.open(made.engine.path) as runner:
        found = runner.infer(shown)
    assert decibels(as_it_came(folder / "theirs.onnx", normalised(shown)), found) > 100


def test_a_picture_set_without_training_images_is_enough(folder: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "few", {f"test/{i % 10}/{i}.png": png(one) for i, one in enumerate(pictures(20))})
    made = build(folder, "theirs.onnx", data=tmp_path / "few")
    assert json.loads(made.lasting_report.path.read_text())["subject"]["calibration_images"] == 0


@pytest.mark.parametrize(
    "asked",
    [{"calibration.recipe": "w8a8_asym"}, {"calibration.max_drop": 1.0}, {"validation.sensitivity": 8}],
    ids=str,
)
def test_what_only_our_own_quantisation_can_have_is_refused(folder: Path, asked: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"theirs\.onnx is compiled as it is, so .* cannot be used"):
        build(folder, "theirs.onnx", **asked)


def test_there_is_no_float_network_to_calibrate_or_to_write(folder: Path) -> None:
    made = build(folder, "theirs.onnx")
    with pytest.raises(UsageError, match="there is no float network to write"):
        made.require_float("write")
    build(folder, "float.onnx").require_float("write")


@pytest.mark.parametrize(
    "command", [["calibrate"], ["export", "-o", "made.onnx"]], ids=lambda given: given[0]
)
def test_commands_for_float_networks_say_so(
    folder: Path, command: list[str], edgec: Edgec, tmp_path: Path
) -> None:
    asked = ["--model", folder / "theirs.onnx", "--data", folder / "data", "--out", tmp_path / "out"]
    done = edgec(*command, *asked)
    assert "there is no float network to" in done.stderr
    assert done.returncode == 2


def test_two_quantised_networks_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="is quantised already, so there is nothing"):
        build(folder, "theirs.onnx", **{"calibration.quantized": folder / "theirs.onnx"})


def test_tensorrt_wants_other_grids_and_the_message_names_the_node_and_the_way_out(folder: Path) -> None:
    with pytest.raises(LintError) as error:
        _ = build(folder, "theirs.onnx", target="jetson").int8_model
    assert "theirs.onnx cannot be compiled as it is under w8a8_sym" in str(error.value)
    assert "input_QuantizeLinear: its zero point is" in str(error.value)
    assert "ActivationSymmetric=True" in str(error.value)


def test_a_network_with_other_images_says_how_to_describe_them(folder: Path) -> None:
    (folder / "small.toml").write_text(SAID + "size = [16, 16]\n")
    (folder / "small.onnx").write_bytes((folder / "theirs.onnx").read_bytes())
    with pytest.raises(CheckpointError, match=r"Say size and channels in .*small\.toml"):
        _ = build(folder, "small.onnx").int8_model
