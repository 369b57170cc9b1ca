"""The averaged logits are validated, costs add up, and members that cannot be combined are refused."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.build import averaged
from pipeline.build.averaged import validate_together
from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.errors import DataError, ReportError, UsageError
from pipeline.progress import Silent
from pipeline.report.pages.ensemble_page import EnsembleReport, chart, html, markdown
from tests.conftest import Edgec
from tests.pipeline.data.pictures import write_idx_set
from tests.pipeline.models.foreign.mobile_networks import MobileNetLike
from tests.pipeline.models.foreign.networks import export, make
from tests.pipeline.models.foreign.plain_networks import VggLike


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ensemble")
    write_idx_set(made / "data", train=60, t10k=40)
    for name, kind in (("a", VggLike), ("b", MobileNetLike)):
        export(make(kind), made / f"{name}.onnx")
        (made / f"{name}.toml").write_text('fit = "pad"\n')
        (made / f"build_{name}.toml").write_text(
            f'model = "{name}.onnx"\ndata = "data"\ntarget = "reference"\nout = "out"\n'
            "[calibration]\nimages = 16\n[latency]\nseconds = 0.1\n"
        )
    return made


def build(folder: Path, name: str, **options: object) -> Build:
    return Build(load_config(BuildConfig, folder / f"build_{name}.toml", options), Silent())


@pytest.fixture(scope="module")
def report(folder: Path) -> EnsembleReport:
    return validate_together([build(folder, "a"), build(folder, "b")], Silent())


def test_members_and_their_average_are_validated_on_the_same_images(
    folder: Path, report: EnsembleReport
) -> None:
    assert [one.members for one in report.combinations] == [("a",), ("b",), ("a", "b")]
    builds = [build(folder, "a"), build(folder, "b")]
    logits, labels = [], np.array([])
    for one in builds:
        with one.target.open(one.engine.path) as runner:
            batches = list(one.evaluation.batches(one.model.preprocessing, 64))
            logits.append(np.concatenate([runner.infer(batch.images) for batch in batches]))
            labels = np.concatenate([batch.labels for batch in batches])
    expected = [(found.argmax(1) == labels).mean() for found in (*logits, (logits[0] + logits[1]) / 2)]
    assert [one.int8_top1 for one in report.combinations] == pytest.approx(expected)


def test_costs_are_sums_of_the_members(report: EnsembleReport) -> None:
    first, second, both = report.combinations
    assert first.int8_ms is not None
    assert second.int8_ms is not None
    assert both.int8_ms == pytest.approx(first.int8_ms + second.int8_ms)
    drawn = chart(report)
    assert drawn is not None
    assert list(drawn.lines) == ["a", "b", "averaged"]


def test_the_gain_is_stated_against_the_best_single_member(report: EnsembleReport) -> None:
    singles = {one.members[0]: one.int8_top1 for one in report.combinations[:2]}
    assert singles[report.best_single] == max(singles.values())
    both = report.combinations[2]
    assert both.gain_points == pytest.approx(100 * (both.int8_top1 - max(singles.values())))
    assert "| a + b |" in markdown(report)
    assert html(report).count("<tr>") == 4


def test_an_ensemble_needs_two_members_with_the_same_images(folder: Path) -> None:
    with pytest.raises(UsageError, match="at least two"):
        validate_together([build(folder, "a")], Silent())
    other = build(folder, "b", **{"validation.images": 10})
    with pytest.raises(DataError, match="a and b have different evaluation images"):
        validate_together([build(folder, "a"), other], Silent())


def test_the_command_prints_a_table_and_writes_a_page(folder: Path, edgec: Edgec) -> None:
    done = edgec("ensemble", folder / "build_a.toml", folder / "build_b.toml", "--html", folder / "e.html")
    assert done.returncode == 5, done.stderr  # random weights only guess, and that is said
    assert "**Meaningless**: build_a:" in done.stdout
    assert "Meaningless" in (folder / "e.html").read_text()
    assert "a + b" in done.stdout
    assert "<svg" in (folder / "e.html").read_text()


def test_logits_that_are_no_numbers_are_not_averaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = nullcontext(SimpleNamespace(infer=lambda images: np.full((len(images), 10), np.nan, np.float32)))
    monkeypatch.setattr(averaged, "ReferenceTarget", lambda: SimpleNamespace(open=lambda _: broken))
    with pytest.raises(ReportError, match="FP32 logits are not finite"):
        validate_together([build(folder, "a"), build(folder, "b")], Silent())
