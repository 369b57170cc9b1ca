"""The cause of a network that only guesses is found, and the advice corrects it."""

import json
import re
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.diagnosis.class_order import find_class_order
from pipeline.diagnosis.examples import LabelledImages, LabelledPixels
from pipeline.models.input_form import InputForm, usual_forms
from pipeline.progress import Silent
from pipeline.report.markdown import report_summary
from pipeline.report.model.build_report import Report
from pipeline.report.pages.report_page import render_html
from pipeline.report.pixel_tally import PixelTally
from pipeline.report.plausibility import judged_to_know
from targets.base import Origin
from tests.pipeline.diagnosis.colours import COLOURS, TURNED, folder, scenes, write
from tests.pipeline.report.samples import printed

FORMS = {re.sub(r" \(.*\)", "", form.name): form for form in usual_forms(3)}
LABELS = f"labels = {json.dumps(list(COLOURS))}\n"
WRONG = 'size = [32, 32]\nfit = "stretch"\n' + LABELS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("colours") / "data")


def built(net: Path, data: Path) -> Report:
    options = {
        "model": str(net),
        "data": data,
        "target": "reference",
        "out": net.parent / "out",
        "calibration.recipe": "w8a8_asym_minmax",
        "validation.max_drop": 50.0,
        "export.max_difference": 1.0,  # logits of wrong inputs are large
    }
    made = Build(load_config(BuildConfig, None, options), Silent())
    return made.lasting_report.load()  # nothing here is about time


def test_following_the_advice_makes_a_sound_network_of_it(data: Path, tmp_path: Path) -> None:
    net = write(tmp_path / "net.onnx", FORMS["ImageNet's mean and std"])
    description = tmp_path / "net.toml"
    description.write_text(WRONG + "\n".join(FORMS["0 to 255"].lines))
    report = built(net, data)
    assert report.verdict == "meaningless"
    found = report.diagnosis
    assert found is not None
    assert found.best is not None
    assert re.search(r"With ImageNet's mean and std .*: \d+ of 60 right instead of \d+", found.conclusion)
    assert found.where == "net.toml"
    for page in (printed(report, 200), render_html(report), report_summary(report)):
        assert "right instead of" in page
    description.write_text(WRONG + "\n".join(found.best.lines))
    again = built(net, data)
    assert again.verdict == "pass"
    assert again.diagnosis is None
    assert again.accuracy.rates[0][1].fp32 == pytest.approx((found.best.right or 0) / 60)


def test_a_network_that_wants_bgr_is_told_so_and_then_passes(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", palette=TURNED)
    net = write(tmp_path / "net.onnx", FORMS["ImageNet's mean and std, BGR"], palette=TURNED)
    said = f'size = [32, 32]\nfit = "stretch"\nlabels = {json.dumps(list(TURNED))}\n'
    rgb = FORMS["ImageNet's mean and std"]
    (tmp_path / "net.toml").write_text(said + "\n".join(rgb.lines))
    report = built(net, data)
    assert report.verdict == "meaningless"
    assert report.accuracy.rates[0][1].fp32 < 0.1
    found = report.diagnosis
    assert found is not None
    assert found.best is not None
    assert "BGR" in found.conclusion
    assert 'colors = "BGR"' in found.best.lines
    (tmp_path / "net.toml").write_text(said + "\n".join(found.best.lines))
    again = built(net, data)
    assert again.verdict == "pass"
    assert again.accuracy.rates[0][1].fp32 > 0.9


SEGMENTS = f'size = [32, 32]\nfit = "stretch"\ntask = "segment"\nlabels = {json.dumps(list(TURNED))}\n'


@pytest.mark.parametrize("wanted", ["ImageNet's mean and std, BGR", "0 to 255"])
def test_the_form_of_a_segmentation_network_is_found_by_its_masks(wanted: str, tmp_path: Path) -> None:
    data = scenes(tmp_path / "data", TURNED)
    net = write(tmp_path / "net.onnx", FORMS[wanted], palette=TURNED, of_pixels=True)
    told = FORMS["ImageNet's mean and std"]
    (tmp_path / "net.toml").write_text(SEGMENTS + "\n".join(told.lines))
    report = built(net, data)
    assert report.verdict == "meaningless"
    assert report.verdict.exit_code == 5
    found = report.diagnosis
    assert found is not None
    assert found.best is not None
    assert found.best.right is None
    words = r"With .*: \d+\.\d\d % of pixels, mean IoU \d+\.\d\d % instead of"
    for page in (printed(report, 200), render_html(report), report_summary(report)):
        assert re.search(words, page.replace("\\", ""))
    (tmp_path / "net.toml").write_text(SEGMENTS + "\n".join(found.best.lines))
    again = built(net, data)
    assert again.verdict == "pass"
    assert again.diagnosis is None
    assert found.best.pixels is not None
    assert again.accuracy.rates[0][1].fp32 == pytest.approx(found.best.pixels.right)


def test_masks_with_other_numbers_are_found_and_the_advice_puts_them_right(tmp_path: Path) -> None:
    form = FORMS["ImageNet's mean and std"]
    data = scenes(tmp_path / "data", TURNED)
    net = write(tmp_path / "net.onnx", form, order=[3, 2, 0, 1], palette=TURNED, of_pixels=True)
    (tmp_path / "net.toml").write_text(SEGMENTS + "\n".join(form.lines))
    report = built(net, data)
    assert report.verdict == "meaningless"
    assert report.diagnosis is not None
    found = re.findall(r"(\d) becomes (\d)", report.diagnosis.conclusion)
    numbers = np.arange(256, dtype=np.uint8)
    for old, new in found:
        numbers[int(old)] = int(new)
    for path in data.glob("*/masks/*.png"):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        cv2.imwrite(str(path), numbers[mask])
    assert built(net, data).verdict == "pass"


def test_an_untrained_segmentation_network_has_no_usual_cause() -> None:
    """Its answers do not depend on the pictures at all."""
    rng = np.random.default_rng(3)
    masks = rng.choice(4, size=(24, 8, 8), p=[0.4, 0.2, 0.2, 0.2]).astype(np.uint8)
    shown = LabelledPixels(np.zeros((24, 8, 8, 3), np.uint8), masks, 4)
    found = [find_class_order(rng.integers(0, 4, (24, 8, 8)), shown, list("abcd")) for _ in range(50)]
    assert found == [None] * 50


def test_shares_of_pixels_are_those_of_the_report() -> None:
    """The same figures as validation gives for the same masks and answers, and its judgement."""
    rng = np.random.default_rng(4)
    masks = rng.choice([0, 1, 2, 255], size=(20, 12, 12), p=[0.5, 0.2, 0.2, 0.1]).astype(np.uint8)
    masks[0] = 255
    said = np.where(rng.random(masks.shape) < 0.7, masks % 255, rng.integers(0, 3, masks.shape))
    tally = PixelTally(3)
    logits = np.moveaxis(np.eye(3, dtype=np.float32)[said], -1, 1)
    images = np.zeros((20, 12, 12, 3), np.uint8)
    tally.add(logits, logits, masks, images, [str(n) for n in range(20)])
    accuracy = tally.accuracy(Origin.HOST, Origin.HOST)
    outcome = LabelledPixels(images, masks, 3).outcome(said)
    assert outcome.pixel_shares.right == pytest.approx(accuracy.pixels.fp32)
    assert outcome.pixel_shares.iou == pytest.approx(accuracy.iou.fp32)
    assert outcome.knows() is judged_to_know(accuracy)


def test_a_known_models_checkpoint_is_told_what_to_put_under_export(quick: Path, out: Path) -> None:
    wrong = {"out": out, "export.mean": (9.0,), "export.std": (0.01,), "validation.images": 200}

    def report(**options: object) -> Report:
        made = Build(load_config(BuildConfig, quick, wrong | options), Silent())
        return made.lasting_report.load()

    found = report()
    assert found.verdict == "meaningless"
    assert found.diagnosis is not None
    assert found.diagnosis.best is not None
    assert found.diagnosis.where == "[export]"
    advice = tomllib.loads("\n".join(found.diagnosis.best.lines))
    again = report(**{f"export.{key}": tuple(value) for key, value in advice.items()})
    assert again.accuracy.rates[0][1].fp32 == (found.diagnosis.best.right or 0) / found.diagnosis.images
    assert again.gates[0].verdict == "pass"


def test_classes_in_another_order_are_found_and_the_advice_puts_them_right(
    data: Path, tmp_path: Path
) -> None:
    form = FORMS["ImageNet's mean and std"]
    net = write(tmp_path / "net.onnx", form, order=[3, 4, 5, 0, 1, 2])
    text = WRONG + "\n".join(form.lines)
    (tmp_path / "net.toml").write_text(text)
    report = built(net, data)
    assert report.verdict == "meaningless"
    assert report.diagnosis is not None
    assert report.diagnosis.class_order is not None
    assert "classes are in another order" in report.diagnosis.conclusion
    (tmp_path / "net.toml").write_text(text.replace(LABELS.strip(), report.diagnosis.order_line))
    assert built(net, data).verdict == "pass"


def of_classes(labels: NDArray[np.int64], classes: int) -> LabelledImages:
    return LabelledImages(np.zeros((len(labels), 1, 1, 3), np.uint8), labels, classes)


def test_labels_that_have_nothing_to_do_with_pictures_have_no_usual_cause() -> None:
    """At most the 2.5 % that the interval allows of random answers are explained by an order."""
    rng = np.random.default_rng(0)
    names = [str(n) for n in range(10)]
    shown = of_classes(np.arange(200) % 10, 10)
    found = [find_class_order(rng.integers(0, 10, 200), shown, names) for _ in range(200)]
    assert sum(one is not None for one in found) <= 12  # 5 expected; more than 12 has p = 0.002


def test_any_order_of_the_classes_is_found() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(200) % 10
    for _ in range(20):
        order = rng.permutation(10)
        while (order == np.arange(10)).sum() > 2:
            order = rng.permutation(10)
        answers = np.where(rng.random(200) < 0.7, np.argsort(order)[labels], rng.integers(0, 10, 200))
        found = find_class_order(answers, of_classes(labels, 10), [str(n) for n in range(10)])
        assert found is not None
        assert found.labels == tuple(str(n) for n in order)


def test_gray_pictures_have_no_order_of_channels() -> None:
    assert {form.colors for form in usual_forms(1)} == {"RGB"}
    assert InputForm("", (0.5,), (0.5,)).lines == ("mean = [0.5]", "std = [0.5]")
