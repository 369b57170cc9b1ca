"""The cause of a network that only guesses is found, and the advice corrects it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.diagnosis.class_order import find_class_order
from pipeline.diagnosis.examples import LabelledImages, LabelledPixels
from pipeline.models.input_form import InputForm, usual_forms
from pipeline.report.markdown import report_summary
from pipeline.report.pages.report_page import render_html
from pipeline.report.pixel_tally import PixelTally
from pipeline.report.plausibility import judged_to_know
from targets.base import Origin
from tests.pipeline.diagnosis.built_networks import FORMS, SEGMENTS, built
from tests.pipeline.diagnosis.colours import TURNED, folder, scenes, write
from tests.pipeline.report.samples import printed


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
