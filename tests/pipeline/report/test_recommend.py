"""One recommendation from accuracy and speed: never ship slower, never ship what fails."""

import pytest

from pipeline.report.gates import drop_gate
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Verdict
from pipeline.report.pages.report_page import render_html
from targets.base import Origin
from tests.pipeline.report.samples import FAILS, OPEN, PASSES, advised, printed, report


def test_the_rates_are_what_they_are_called() -> None:
    verdicts = [drop_gate(rate, 1.0, Origin.DEVICE).verdict for rate in (PASSES, FAILS, OPEN)]
    assert verdicts == [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE]


@pytest.mark.parametrize(
    ("int8", "fp16", "ratio", "ship", "because"),
    [
        (0, 0, 0.7, "INT8", "both pass"),
        (0, 0, 1.3, "FP16", "not shown to be faster"),
        (0, 0, 1.0, "FP16", "not shown to be faster"),
        (1, 0, 0.7, "FP16", "INT8's accuracy does not pass (fail)"),
        (2, 0, 0.7, "FP16", "INT8's accuracy does not pass (inconclusive)"),
        (0, 1, 1.3, "INT8", "FP16's accuracy does not pass (fail)"),
        (1, 2, 0.7, None, "INT8 fail, FP16 inconclusive"),
    ],
)
def test_it_is_the_faster_one_that_passes(
    int8: int, fp16: int, ratio: float, ship: str | None, because: str
) -> None:
    found = advised(int8, fp16, ratio)
    assert found.ship == ship
    assert because in found.why
    assert f"{1 / ratio:.2f} [" in found.why


def test_all_three_reports_say_it() -> None:
    shown = report().replace(recommendation=advised())
    assert Report.parse(shown.model_dump_json().encode(), "here") == shown
    text = " ".join(printed(shown).split())
    assert "Ship on this device" in text
    assert "INT8 both pass the accuracy gates" in text
    assert "FP16 top-1 98.88 %, drop +0.02" in text
    page = render_html(shown)
    assert "Ship INT8 on this device" in page
    assert "98.88 %" in page
    assert 'id="recommendation"' not in render_html(report())
    neither = printed(report().replace(recommendation=advised(1, 1)))
    assert "neither passes" in " ".join(neither.split())
