"""A network that only guesses is told why, and what it is told helps."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.diagnosis.class_order import find_class_order
from pipeline.models.input_form import InputForm, usual_forms
from pipeline.progress import Silent
from pipeline.report.html import render_html
from pipeline.report.markdown import report_summary
from pipeline.report.model.build_report import Report
from tests.pipeline.diagnosis.colours import COLOURS, folder, write
from tests.pipeline.report.samples import printed

FORMS = {form.name.split(" (")[0]: form for form in usual_forms(3)}
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
        "latency.seconds": 0.05,
        "export.max_difference": 1.0,  # logits of wrong inputs are large
    }
    made = Build(load_config(BuildConfig, None, options), Silent())
    return made.report.load()


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
    assert again.accuracy.rates[0][1].fp32 == pytest.approx(found.best.right / 60)


def test_a_known_models_checkpoint_is_told_what_to_put_under_export(quick: Path, out: Path) -> None:
    wrong = {"out": out, "export.mean": (9.0,), "export.std": (0.01,), "validation.images": 200}

    def report(**options: object) -> Report:
        made = Build(load_config(BuildConfig, quick, wrong | options), Silent())
        return made.report.load()

    found = report()
    assert found.verdict == "meaningless"
    assert found.diagnosis is not None
    assert found.diagnosis.best is not None
    assert found.diagnosis.where == "[export]"
    advice = tomllib.loads("\n".join(found.diagnosis.best.lines))
    again = report(**{f"export.{key}": tuple(value) for key, value in advice.items()})
    assert again.accuracy.rates[0][1].fp32 == found.diagnosis.best.right / found.diagnosis.images
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


def test_labels_that_have_nothing_to_do_with_pictures_have_no_usual_cause() -> None:
    """At most the 2.5 % that the interval allows of random answers are explained by an order."""
    rng = np.random.default_rng(0)
    names = [str(n) for n in range(10)]
    labels = np.arange(200) % 10
    found = [find_class_order(rng.integers(0, 10, 200), labels, names) for _ in range(200)]
    assert sum(one is not None for one in found) <= 12  # 5 expected; more than 12 has p = 0.002


def test_any_order_of_the_classes_is_found() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(200) % 10
    for _ in range(20):
        order = rng.permutation(10)
        while (order == np.arange(10)).sum() > 2:
            order = rng.permutation(10)
        answers = np.where(rng.random(200) < 0.7, np.argsort(order)[labels], rng.integers(0, 10, 200))
        found = find_class_order(answers, labels, [str(n) for n in range(10)])
        assert found is not None
        assert found.labels == tuple(str(n) for n in order)


def test_gray_pictures_have_no_order_of_channels() -> None:
    assert {form.colors for form in usual_forms(1)} == {"RGB"}
    assert InputForm("", (0.5,), (0.5,)).lines == ("mean = [0.5]", "std = [0.5]")
