import io

import pytest
from rich.console import Console

from pipeline.errors import ReportError
from pipeline.report.model.build_report import Report
from pipeline.report.model.measured_latency import Latency
from pipeline.report.side_by_side import render_side_by_side, side_by_side, side_by_side_html
from tests.pipeline.report.rendered_page import RenderedPage
from tests.pipeline.report.samples import everything, report


def three() -> list[Report]:
    second, third = report(noise=0.3, int8_ms=0.31), report(noise=0.5, measured=False)
    return [report(), second.replace(subject=second.subject.replace(target="host")), third]


def cells(reports: list[Report], name: str) -> tuple[str, ...]:
    return next(row.cells for group in side_by_side(reports) for row in group.rows if row.name == name)


def test_every_report_has_a_column() -> None:
    reports = three()
    assert cells(reports, "target") == ("reference", "host", "reference")
    assert cells(reports, "INT8 top-1") == ("96.80 %", "95.79 %", "94.01 %")
    assert cells(reports, "p50")[2] == "not measured"


def test_int8_is_compared_with_int8_image_by_image() -> None:
    behind = cells(three(), "INT8 behind A's")
    assert behind[0] == ""
    assert behind[1].startswith("+1.01 [")  # 96.80 - 95.79
    assert behind[2].startswith("+2.79 [")


def test_builds_that_saw_other_images_are_not_compared_image_by_image() -> None:
    first, second, _ = three()
    other = second.replace(subject=second.subject.replace(evaluation_digest="f" * 64))
    assert cells([first, other], "INT8 behind A's") == ("", "other images")


@pytest.mark.parametrize("count", [0, 1, 9])
def test_one_report_or_too_many_are_refused(count: int) -> None:
    with pytest.raises(ReportError, match="from 2 to 8 can be shown"):
        side_by_side([report()] * count)


def test_two_fit_80_columns() -> None:
    console = Console(file=io.StringIO(), width=80)
    render_side_by_side(three()[:2], console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert "+0.13 [-0.03, 0.30]" in text


def test_the_page_shows_all_and_escapes_names() -> None:
    first, second, third = three()
    nasty = second.replace(subject=second.subject.replace(model="<script>alert(1)</script>"))
    found = RenderedPage(side_by_side_html([first, nasty, third]))
    assert not found.all("script")
    assert "<script>alert(1)</script> for host" in found.text
    assert "None" not in found.text
    assert [a["aria-label"] for a in found.all("div") if a.get("role") == "img"] == [
        "Drop from FP32 to INT8, in points: A +0.13. B +1.14. C +2.92. ",
        "INT8 latency, p50, in ms: A 0.4199 ms. B 0.3099 ms. C not measured. ",
    ]


def test_the_reasons_for_noise_are_read_as_sentences_and_figures_as_figures() -> None:
    """Sentences start at the left of their column; figures end at its right."""
    quiet = report()
    latency = quiet.latency_int8
    assert isinstance(latency, Latency)
    noisy = quiet.replace(latency_int8=latency.replace(noisy=("the median drifted", "p90 is high")))
    found = RenderedPage(side_by_side_html([quiet, noisy]))
    assert [a.get("class") for a in found.all("td")].count("prose") == 2
    assert "the median drifted; p90 is high" in found.text


def test_only_rows_that_are_there_are_explained() -> None:
    assert "corrupted" not in side_by_side_html([report(), report()])
    assert "“More when corrupted” is what INT8 loses" in side_by_side_html([report(), everything()])
