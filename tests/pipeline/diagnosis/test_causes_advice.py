"""What the diagnosis of a network that only guesses advises makes a sound network of it."""

import re
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pipeline.build.plan import Build
from pipeline.cli.app import run
from pipeline.config import BuildConfig, load_config
from pipeline.data.embedded import EMBEDDED
from pipeline.progress import Silent
from pipeline.report.markdown import report_summary
from pipeline.report.model.build_report import Report
from pipeline.report.pages.report_page import render_html
from tests.pipeline.diagnosis.built_networks import FORMS, LABELS, SEGMENTS, WRONG, built
from tests.pipeline.diagnosis.colours import TURNED, folder, scenes, write
from tests.pipeline.report.samples import printed


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("colours") / "data")


def test_following_the_advice_makes_a_sound_network_of_it(data: Path, tmp_path: Path) -> None:
    net = write(tmp_path / "net.onnx", FORMS["ImageNet's mean and std"])
    description = tmp_path / "net.toml"
    description.write_text(WRONG + "\n".join(FORMS["0 to 255"].lines))
    report = built(net, data)
    assert report.verdict == "meaningless"
    found = report.diagnosis
    assert found is not None
    assert found.best is not None
    said = re.sub(r"\d+ of 60 right instead of \d+", "N of 60 right instead of M", found.conclusion)
    said = said.replace("; ".join(found.best.lines), "its lines").partition(" Not shown")[0]
    form = "ImageNet's mean and std (torchvision, timm)"
    assert said.replace(form, "one") == "With one: N of 60 right instead of M. Put into net.toml: its lines."
    for page in (printed(report, 200), render_html(report), report_summary(report)):
        assert "right instead of" in page
    description.write_text(WRONG + "\n".join(found.best.lines))
    again = built(net, data)
    assert again.verdict == "pass"
    assert again.diagnosis is None
    assert again.accuracy.rates[0][1].fp32 == pytest.approx((found.best.right or 0) / 60)


def test_masks_with_other_numbers_are_found_and_the_advice_puts_them_right(tmp_path: Path) -> None:
    form = FORMS["ImageNet's mean and std"]
    data = scenes(tmp_path / "data", TURNED)
    net = write(tmp_path / "net.onnx", form, order=[3, 2, 0, 1], palette=TURNED, of_pixels=True)
    (tmp_path / "net.toml").write_text(SEGMENTS + "\n".join(form.lines))
    report = built(net, data)
    assert report.verdict == "meaningless"
    assert report.diagnosis is not None
    assert ". Write the masks with other numbers: " in report.diagnosis.conclusion
    assert report.diagnosis.conclusion.endswith("; 255 stays.")
    found = re.findall(r"(\d) becomes (\d)", report.diagnosis.conclusion)
    numbers = np.arange(256, dtype=np.uint8)
    for old, new in found:
        numbers[int(old)] = int(new)
    for path in data.glob("*/masks/*.png"):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        cv2.imwrite(str(path), numbers[mask])
    assert built(net, data).verdict == "pass"


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
    order = report.diagnosis.order_line
    words = "Put into net.toml"
    assert report.diagnosis.conclusion.endswith(f" are right instead of 0. {words}: {order}.")
    (tmp_path / "net.toml").write_text(text.replace(LABELS.strip(), order))
    assert built(net, data).verdict == "pass"


def test_an_export_with_labels_puts_a_known_models_classes_in_order(quick: Path, tmp_path: Path) -> None:
    """A checkpoint of a trainer that had the classes in another order, and does not name them."""
    weights = load_file(EMBEDDED / "resnet20_fashion.safetensors")
    order = [*range(5, 10), *range(5)]
    for name in ("linear.weight", "linear.bias"):
        weights[name] = weights[name][order].contiguous()
    save_file(weights, tmp_path / "weights.safetensors")
    more: dict[str, object] = {"out": tmp_path / "out", "checkpoint": tmp_path / "weights.safetensors"}
    first = Build(load_config(BuildConfig, quick, more), Silent()).lasting_report.load()
    assert first.verdict == "meaningless"
    assert first.diagnosis is not None
    words = ". Write the network as ONNX with `edgec export`, and put into the .toml beside it: "
    assert words in first.diagnosis.conclusion
    net = tmp_path / "net.onnx"
    options = ["--config", quick, *(part for key, value in more.items() for part in (f"--{key}", value))]
    assert run([str(one) for one in ["export", *options, "-o", net]]) == 0
    lines = first.diagnosis.conclusion.partition(words)[2].removesuffix(".").split("; ")
    net.with_suffix(".toml").write_text("\n".join(lines))
    given = {"out": tmp_path / "out", "model": str(net), "data": "fashion-mnist"}
    again = Build(load_config(BuildConfig, quick, given), Silent()).lasting_report.load()
    assert again.diagnosis is None
    assert again.accuracy.rates[0][1].fp32 > 0.8
