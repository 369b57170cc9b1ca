"""A network that classifies pixels goes the whole way: with masks, and without any."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.errors import DataError, ReportError, UsageError
from pipeline.models.foreign.description import read_foreign
from pipeline.progress import Silent
from pipeline.report.baseline import baseline_of
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.pages.report_page import render_html
from pipeline.report.side_by_side import side_by_side
from targets.reference import ReferenceTarget
from targets.registry import find_target
from tests.conftest import Edgec
from tests.pipeline.data.pictures import png, write_folder
from tests.pipeline.models.foreign.networks import SEGMENTERS, export, make
from tests.pipeline.pictures_with_masks import LABELS, masked, net, picture
from tests.targets.needs import or_skip


def build(model: Path, data: Path, **options: object) -> Build:
    chosen = {
        "model": str(model),
        "data": data,
        "target": "reference",
        "out": model.parent / "out",
        "calibration.images": 16,
        "latency.seconds": 0.1,
    }
    return Build(load_config(BuildConfig, None, chosen | options), Silent())


def said_by_fp32(model: Path, folder: Path, count: int) -> NDArray[np.int64]:
    """The float model's classes of the test pictures' pixels, [N, 32, 32]."""
    masked(folder / "first", "train", 8)
    masked(folder / "first", "test", count)
    made = build(model, folder / "first")
    batches = list(made.evaluation.batches(made.model.preprocessing, count))
    with ReferenceTarget().open(made.float_model.path) as runner:
        found: NDArray[np.int64] = runner.infer(batches[0].images).argmax(1)
    return found


def test_against_masks_that_are_what_fp32_says(tmp_path: Path) -> None:
    """FP32 is then right everywhere, and INT8's loss is shown by pixels, classes and pictures."""
    model = net(tmp_path)
    truth = said_by_fp32(model, tmp_path, 12)
    truth[0, :16] = 255  # nobody labelled these
    masked(tmp_path / "data", "train", 8)
    masked(tmp_path / "data", "test", 12, truth)
    made = build(model, tmp_path / "data", **{"validation.max_drop": 50.0})
    report = made.lasting_report.load()
    accuracy = report.accuracy
    assert isinstance(accuracy, PixelAccuracy)
    assert accuracy.labelled
    assert accuracy.pixels.fp32 == accuracy.iou.fp32 == accuracy.fp32_mean_iou == 1.0
    assert 0.9 < accuracy.pixels.int8 < 1.0
    assert accuracy.int8_mean_iou < 1.0
    assert sum(one.pixels for one in accuracy.per_class) == (truth != 255).sum()
    assert len(accuracy.int8_scores) == 12
    assert accuracy.worst
    assert [gate.name for gate in report.gates] == ["plausible", "max_drop", "max_drop_iou"]
    assert report.verdict == "pass"
    page = render_html(report)
    assert "Classes of pixels" in page
    assert "grass" in page
    with pytest.raises(ReportError, match="classifies pixels"):
        baseline_of(report)
    figures = {row.name: row.cells for group in side_by_side([report, report]) for row in group.rows}
    assert figures["INT8 right pixels"][0] == figures["INT8 right pixels"][1]
    assert not build(model, tmp_path / "first").accuracy.product.cached  # other masks on the same pictures


def test_without_masks_fp32_is_the_reference(tmp_path: Path) -> None:
    """Any pictures do; the gate bounds what any labels could say. The bundle shows areas and masks."""
    names = [f"{split}/{name}/{n}.png" for split in ("train", "test") for name in "ab" for n in range(6)]
    pictures = {name: png(picture(n)) for n, name in enumerate(names)}
    model, data = net(tmp_path), write_folder(tmp_path / "data", pictures)
    made = build(model, data, **{"validation.max_drop": 50.0})
    report = made.report.load()
    accuracy = report.accuracy
    assert isinstance(accuracy, PixelAccuracy)
    assert not accuracy.labelled
    assert accuracy.pixels.fp32 == 1.0
    assert accuracy.pixels.int8 == pytest.approx(accuracy.agreement)
    assert accuracy.pixels.drop_interval.low >= 0
    assert [gate.claim for gate in report.gates] == ["drop of pixels with FP32's class below 50.00 points"]
    with tarfile.open(made.bundle.path) as bundle:
        bundle.extractall(tmp_path / "bundle", filter="data")
    folder = tmp_path / "bundle" / "unet-reference"

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, folder / "run", *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "100% of the classes the same" in run("selftest")
    told = json.loads(run("--json", "--masks", str(tmp_path / "masks"), str(data / names[0])))
    mask = cv2.imread(str(tmp_path / "masks" / "0.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert told["classes"][0]["share"] == (mask == LABELS.index(told["classes"][0]["name"])).mean()
    camera = subprocess.run(
        [sys.executable, folder / "run", "camera"], capture_output=True, text=True, check=False
    )
    assert camera.returncode == 1
    assert "classifies pixels" in camera.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("target", "name"), [("arm", "fcn"), ("jetson", "unet")])
def test_segmentation_builds_for_boards(target: str, name: str, tmp_path: Path) -> None:
    or_skip(find_target(target).check)
    model = export(make(SEGMENTERS[name]), net(tmp_path))
    masked(tmp_path / "data", "train", 8)
    masked(tmp_path / "data", "test", 3)
    made = build(model, tmp_path / "data", target=target, **{"validation.max_drop": 50.0})
    report = made.lasting_report.load()
    assert isinstance(report.accuracy, PixelAccuracy)
    assert report.accuracy.agreement > 0.9
    assert made.bundle.path.is_file()
    if target != "arm":
        return
    with np.load(made.samples.path) as held:
        image, logits = held["images"][0], held["int8"][0]
    (tmp_path / "image.png").write_bytes(png(image))
    command = ["qemu-aarch64", str(made.engine.path), "classify", str(tmp_path / "image.png")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    shares = np.bincount(logits.argmax(0).ravel(), minlength=4) / logits[0].size
    expected = [
        f"class {k}  {100 * shares[k]:.2f} % of the pixels" for k in np.argsort(-shares, kind="stable")
    ]
    assert told == [line for line in expected if " 0.00 %" not in line]


@pytest.mark.parametrize(
    ("option", "value"),
    [("calibration.max_drop", 1.0), ("validation.min_ratio", 0.99), ("validation.robustness", 10)],
)
def test_settings_about_classified_images_are_refused(option: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{option} counts images"):
        build(net(tmp_path), tmp_path, **{option: value})


def test_doctor_sees_that_pixels_are_classified(edgec: Edgec, tmp_path: Path) -> None:
    """What it prints is enough for a build, with the lines of one candidate."""
    model = net(tmp_path)
    (tmp_path / "unet.toml").unlink()
    done = edgec("doctor", model, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "the output has 4 dimensions, so it classifies pixels" in " ".join(told["reasons"])
    assert not told["clear"]
    lines = told["guess"].splitlines(keepends=True)
    (tmp_path / "unet.toml").write_text("".join(line for line in lines if "undecided" not in line))
    found = read_foreign(model)
    assert (found.task, found.labels) == ("segment", ("class 0", "class 1", "class 2", "class 3"))


def test_labels_are_needed_and_have_to_be_as_many_as_the_outputs(tmp_path: Path) -> None:
    model = net(tmp_path)
    pictures = {f"{split}/a/0.png": png(picture(len(split))) for split in ("train", "test")}
    data = write_folder(tmp_path / "data", pictures)
    (tmp_path / "unet.toml").write_text('task = "segment"\nfit = "stretch"\n')
    with pytest.raises(UsageError, match=r"unet\.toml has no labels"):
        build(model, data)
    (tmp_path / "unet.toml").write_text('task = "segment"\nfit = "stretch"\nlabels = ["a", "b"]\n')
    with pytest.raises(DataError, match="has 4 classes; its labels name 2"):
        _ = build(model, data).float_model
