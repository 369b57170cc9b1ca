"""Wherever a verdict is shown, a network that only guesses is called meaningless."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from edgec.testing import assert_accuracy
from pipeline.report.baseline import baseline_of
from pipeline.report.comparison import compare
from pipeline.report.gates import accuracy_gates
from pipeline.report.image_tally import AccuracyTally
from pipeline.report.junit import junit_xml
from pipeline.report.markdown import comparison_summary, report_summary
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import overall
from pipeline.report.pages.report_page import render_html
from pipeline.report.side_by_side import side_by_side_html
from targets.base import Origin
from tests.pipeline.report.samples import printed, report


@pytest.fixture(scope="module")
def guessing() -> Report:
    """10,000 images of ten classes, of which FP32 and INT8 both say the first."""
    labels = np.arange(10_000) % 10
    logits = np.tile(np.eye(10, dtype=np.float32)[0], (len(labels), 1))
    tally = AccuracyTally(10)
    pixels = np.zeros((len(labels), 4, 4, 1), np.uint8)
    tally.add(logits, logits, labels, pixels, [str(i) for i in labels])
    accuracy = tally.accuracy(Origin.HOST, Origin.HOST)
    gates = tuple(accuracy_gates(accuracy, 1.0, None, Origin.HOST))
    return report().replace(accuracy=accuracy, gates=gates, verdict=overall(gates))


def test_in_json_the_terminal_html_markdown_and_side_by_side(guessing: Report, tmp_path: Path) -> None:
    guessing.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json").verdict is Verdict.MEANINGLESS
    assert "MEANINGLESS" in printed(guessing)
    page = render_html(guessing)
    assert '<div class="verdict meaningless">' in page
    assert "FP32 does better than always answering the most frequent class" in page
    assert report_summary(guessing).startswith("### ⛔ meaningless")
    assert "Meaningless" in side_by_side_html([guessing, report()])


def test_in_junit_each_gate_about_accuracy_is_an_error(guessing: Report) -> None:
    suite = ElementTree.fromstring(junit_xml("net", guessing.gates))  # noqa: S314 - our own
    assert (suite.get("failures"), suite.get("errors")) == ("0", "2")
    assert {error.get("type") for error in suite.iter("error")} == {"meaningless"}


def test_against_a_baseline_the_exit_code_is_5(guessing: Report) -> None:
    found = compare(baseline_of(guessing), guessing)
    assert found.exit_code == 5
    assert comparison_summary(found).startswith("### ⛔ meaningless")


def test_an_assertion_refuses_it(guessing: Report) -> None:
    with pytest.raises(AssertionError, match="meaningless: FP32 does better than"):
        assert_accuracy(guessing, max_drop=99.0)
    with pytest.raises(AssertionError, match="meaningless"):
        assert_accuracy(guessing, min_top1=5.0)
