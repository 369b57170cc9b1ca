"""MODEL=path/to/model.onnx builds, validates and bundles like a known model."""

import json
import os
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.errors import CheckpointError, DataError, UsageError
from pipeline.progress import Silent
from pipeline.report.markdown import report_summary
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.measured_latency import Latency
from pipeline.report.pages.report_page import render_html
from targets.runtime.measure import Measurement
from targets.tvm.cpu_target import host_isa
from tests.conftest import Edgec
from tests.pipeline.data.pictures import png, random_pixels, write_folder, write_idx_set
from tests.pipeline.models.foreign.mobile_networks import MobileNetLike
from tests.pipeline.models.foreign.networks import SEGMENTERS, export, make
from tests.pipeline.models.foreign.plain_networks import VggLike
from tests.pipeline.report.samples import measurement, printed
from tests.targets.needs import or_skip


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_net(tmp_path)


def write_net(folder: Path) -> Path:
    """A network, what describes it, and pictures beside it."""
    write_idx_set(folder / "data", train=60, t10k=20)
    (folder / "net.toml").write_text('mean = [0.5]\nstd = [0.25]\nfit = "pad"\n')
    return export(make(MobileNetLike), folder / "net.onnx")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with an engine for this machine in its store; tests copy the folder."""
    or_skip(host_isa)
    net = write_net(tmp_path_factory.mktemp("compiled"))
    assert build(net, target="host").engine.path.is_file()
    return net.parent


def build(net: Path, **options: object) -> Build:
    chosen = {
        "model": str(net),
        "data": net.parent / "data",
        "target": "reference",
        "out": net.parent / "out",
        "calibration.images": 16,
        "latency.seconds": 0.1,
    }
    return Build(load_config(BuildConfig, None, chosen | options), Silent())


def test_a_foreign_model_goes_the_whole_way(net: Path) -> None:
    made = build(net)
    report = json.loads(made.report.path.read_text())
    assert made.name == "net-reference"
    assert report["accuracy"]["top1"]["images"] == 20
    assert made.bundle.path.is_file()
    assert [step.stage for step in made.steps][:1] == ["adopt"]
    again = build(net)
    assert again.bundle.product.cached
    (net.parent / "net.toml").write_text('mean = [0.4]\nstd = [0.25]\nfit = "pad"\n')
    assert not build(net).float_model.product.cached


def test_weights_in_a_file_of_their_own_are_in_the_key(net: Path) -> None:
    """Replaced they lead to another engine, even at the same size and time; without them nothing is built."""
    data = net.parent / "net.data"
    onnx.save(onnx.load(net), net, save_as_external_data=True, location=data.name, size_threshold=0)
    first = build(net)
    engine, digest = first.engine.path.read_bytes(), first.checkpoint.digest
    assert build(net).engine.product.cached
    before, content = data.stat(), data.read_bytes()
    weights = np.frombuffer(content, np.float32).copy()
    weights[np.abs(weights) < 1] *= 0.5
    with data.open("r+b") as file:
        file.write(weights.tobytes())
    os.utime(data, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = build(net)
    assert second.checkpoint.digest != digest
    assert second.engine.path.read_bytes() != engine
    data.unlink()
    with pytest.raises(CheckpointError, match=r"net\.data, which is not there"):
        build(net)
    data.write_bytes(content)
    assert build(net).engine.path.read_bytes() == engine


def test_what_was_renamed_is_called_by_its_new_name(tmp_path: Path) -> None:
    """The results stay the same, and messages and reports have the new name only."""
    pictures = [png(picture) for picture in random_pixels(20, side=40)]
    names = [f"{split}/{name}/{n}.png" for split in ("train", "test") for name in "ab" for n in range(5)]
    data = write_folder(tmp_path / "data", dict(zip(names, pictures, strict=True)))
    said = f'fit = "stretch"\nlabels = {json.dumps(list("abcdefghij"))}\n'
    net = export(make(VggLike), tmp_path / "net.onnx")
    (tmp_path / "net.toml").write_text(said)
    first = build(net, data=data, **{"calibration.images": 8})
    before = first.report.load()
    (data / "test/a/0.png").rename(data / "test/a/00.png")
    (tmp_path / "net.toml").rename(tmp_path / "other.toml")
    second = build(net.rename(tmp_path / "other.onnx"), data=data, **{"calibration.images": 8})
    after = second.report.load()
    pictures_shown = [one.fitting.picture for one in (before, after) if one.fitting is not None]
    assert [one.name for one in pictures_shown if one is not None] == ["test/a/0.png", "test/a/00.png"]
    assert [one.compared[0].graph for one in (before, after)] == [
        "net.onnx, unchanged",
        "other.onnx, unchanged",
    ]
    assert second.engine.product.cached
    assert second.engine.path.read_bytes() == first.engine.path.read_bytes()
    assert [step.cached for step in second.steps if step.stage == "answer"] == [
        False
    ]  # names what INT8 loses


def test_a_training_image_that_becomes_an_evaluation_image_is_noticed_later_too(tmp_path: Path) -> None:
    pictures = [png(picture) for picture in random_pixels(40)]
    names = [f"{split}/{name}/{n}.png" for split in ("train", "test") for name in "ab" for n in range(10)]
    data = write_folder(tmp_path / "data", dict(zip(names, pictures, strict=True)))
    net = export(make(VggLike), tmp_path / "net.onnx")
    (tmp_path / "net.toml").write_text(f'fit = "stretch"\nlabels = {json.dumps(list("abcdefghij"))}\n')
    first = build(net, data=data, **{"calibration.images": 1})
    assert first.accuracy
    calibrated = {sample.name for sample in first.calibration.samples}
    left = next(name for name in names if name.startswith("train") and name not in calibrated)
    (data / left).write_bytes((data / "test/a/0.png").read_bytes())
    with pytest.raises(DataError, match="also evaluation images"):
        _ = build(net, data=data, **{"calibration.images": 1}).accuracy


def test_labels_reorder_the_data_sets_classes(tmp_path: Path) -> None:
    pictures = [png(picture) for picture in random_pixels(12)]
    names = [f"{split}/{name}/{n}.png" for split in ("train", "test") for name in "ab" for n in range(3)]
    data = write_folder(tmp_path / "data", dict(zip(names, pictures, strict=True)))
    net = export(make(VggLike), tmp_path / "net.onnx")
    order = ["j", "i", "h", "g", "f", "e", "d", "c", "b", "a"]
    (tmp_path / "net.toml").write_text(f'fit = "stretch"\nlabels = {json.dumps(order)}\n')
    made = build(net, data=data)
    assert made.dataset.classes == tuple(order)
    assert sorted(set(made.evaluation.labels.tolist())) == [8, 9]
    assert made.float_model.path.is_file()
    (tmp_path / "net.toml").write_text('fit = "stretch"\n')
    with pytest.raises(DataError, match=r"has 10 classes; the data set has 2\. Name its classes"):
        _ = build(net, data=data).float_model


def test_a_checkpoint_for_a_foreign_model_is_refused(net: Path) -> None:
    with pytest.raises(UsageError, match="holds its own weights"):
        build(net, checkpoint=net)


def test_a_segmentation_network_has_to_be_called_one(net: Path) -> None:
    export(make(SEGMENTERS["fcn"]), net)
    with pytest.raises(CheckpointError, match=r'a value for each pixel: say task = "segment" in .*net\.toml'):
        _ = build(net).float_model


def test_a_model_in_a_configuration_lies_beside_it(net: Path) -> None:
    (net.parent / "edgec.toml").write_text('model = "net.onnx"\ndata = "data"\ntarget = "reference"\n')
    config = load_config(BuildConfig, net.parent / "edgec.toml", {})
    assert config.model == str(net)


def test_doctor_writes_clear_settings_and_leaves_the_others_open(
    net: Path, edgec: Edgec, tmp_path: Path
) -> None:
    file = net.parent / "net.toml"
    told = file.read_text()
    file.unlink()
    (tmp_path / "a.png").write_bytes(png(random_pixels(1, side=40)[0]))
    done = edgec("doctor", net, "--image", tmp_path / "a.png", "--write")
    assert done.returncode == 1
    assert "which of its candidates the network was trained with is open" in done.stderr
    assert "--data" in done.stderr
    assert "has the channels second" in done.stdout
    assert done.stdout.count("class ") >= 20
    assert "#   std = [0.229, 0.224, 0.225]" in file.read_text()
    file.write_text(file.read_text() + 'labels = ["Gruy\u00e8re"]\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"open\. Keep the mean, std and colors lines of one of its cand"):
        build(net)
    again = edgec("doctor", net, "--image", tmp_path / "a.png", "--write")
    assert again.returncode == 1
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    assert (written["labels"], written["normalisation"]) == (["Gruy\u00e8re"], "undecided")
    file.write_text(told)
    again = edgec("doctor", net, "--image", tmp_path / "a.png", "--json")
    told = json.loads(again.stdout)
    assert "as net.toml says" in told["tried"]
    assert all(np.isfinite(list(shares.values())).all() for shares in told["tried"].values())


def test_doctor_names_what_it_cannot_read(net: Path, edgec: Edgec, tmp_path: Path) -> None:
    for arguments, told in (
        (("doctor", net.with_suffix(".pt")), "is not an .onnx file"),
        (("doctor", net, "--image", tmp_path / "none.png"), "There is no picture "),
        (("doctor", tmp_path / "none.onnx"), "There is no ONNX file"),
    ):
        done = edgec(*arguments)
        assert done.returncode != 0
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_fp32_is_the_users_own_file_and_every_comparison_says_what_it_is(net: Path) -> None:
    made = build(net)
    report = made.report.load()
    own, pixels, peer = report.compared
    assert own.graph == "net.onnx, unchanged"
    assert "model.onnx" in pixels.graph
    assert "quantize_static" in peer.graph
    assert (peer.agreement is not None, peer.agreement_images) == (True, 20)
    fastest = min((own, pixels), key=lambda run: run.p50.ms)
    assert [run.baseline for run in (own, pixels, peer)] == [fastest is own, fastest is pixels, False]
    assert isinstance(report.latency_fp32, Latency)
    assert report.latency_fp32.p50.ms == fastest.p50.ms
    assert report.speed == fastest.speed
    assert all("1 thread" in run.engine and "CPUExecutionProvider" in run.engine for run in report.compared)
    for shown in (render_html(report), report_summary(report).replace("\\", ""), printed(report, 300)):
        assert "net.onnx, unchanged" in shown
        assert "quantize_static" in shown
        assert "pictures looked at" in shown
    lasting = made.lasting_report.load()
    assert lasting.compared == ()


def test_the_peer_can_be_left_out_and_is_then_said_to_be(net: Path, edgec: Edgec) -> None:
    made = build(net, **{"latency.peer": False})
    report = made.report.load()
    assert len(report.compared) == 2
    assert "latency.peer" in str(report.no_peer)
    assert "peer" not in [step.stage for step in made.steps]
    assert "--no-peer" in edgec("build", "--help").stdout


@pytest.mark.parametrize(
    ("int8_ms", "min_speedup", "verdict"),
    [
        (10.0, None, Verdict.FAIL),
        (10.0, 0, None),
        (0.5, None, Verdict.PASS),
    ],
)
def test_what_is_shown_to_be_slower_fails_unless_min_speedup_says_otherwise(
    int8_ms: float,
    min_speedup: float | None,
    verdict: Verdict | None,
    compiled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock is made up: the user's file takes 1 ms, model.onnx 1.2, the engine so many."""
    net = shutil.copytree(compiled, tmp_path / "copy", copy_function=shutil.copy2) / "net.onnx"
    times = {"own.json": 1.0, "model.onnx": 1.2, "peer.json": 0.8, "model.engine": int8_ms}

    def made_up(engines: list[tuple[str, Path]], *_: object) -> list[Measurement]:
        block = 5 if len(engines) > 1 else 0
        runs = [measurement(times[path.name], runs=200, seed=n) for n, (_, path) in enumerate(engines)]
        return [replace(one, block=block) for one in runs]

    monkeypatch.setattr("pipeline.stages.measure_latency.measure_in_child", made_up)
    made = build(net, **{"latency.min_speedup": min_speedup, "target": "host"})
    gates = {gate.name: gate for gate in made.report.load().gates}
    assert ("min_speedup" in gates) == (verdict is not None)
    if verdict is not None:
        gate = gates["min_speedup"]
        assert gate.value == pytest.approx(1 / int8_ms, rel=0.02)
        assert gate.verdict is verdict
