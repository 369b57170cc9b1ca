import io
from xml.etree.ElementTree import fromstring

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from pipeline.report.baseline import baseline_of
from pipeline.report.comparison import compare
from pipeline.report.junit import junit_xml
from pipeline.report.markdown import comparison_summary, escape, report_summary
from pipeline.report.terminal import render_comparison
from tests.pipeline.report.samples import pixel_report, report

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


def test_junit_counts_what_its_cases_say() -> None:
    shown = report(measured=False, noise=0.6)  # top-1 fails, latency was not measured
    suite = fromstring(junit_xml("resnet20-fashion for reference", shown.gates))  # noqa: S314 - our own
    assert suite.attrib == {
        "name": "resnet20-fashion for reference",
        "tests": "2",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    failure, error = suite.find("testcase[@name='max_drop']/failure"), suite.find("testcase/error")
    assert failure is not None
    assert "lies above the maximum of 1.00 points" in failure.attrib["message"]
    assert error is not None
    assert error.attrib == {
        "message": "p90 latency of the model below 1 ms: not measured: no board connected",
        "type": "inconclusive",
    }


@given(st.text())
def test_junit_holds_any_text(text: str) -> None:
    gate = report().gates[0].replace(claim=text.encode("utf-8", "replace").decode())
    suite = fromstring(junit_xml(text, [gate]))  # noqa: S314 - our own
    assert suite.find("testcase/system-out") is not None


def test_the_markdown_of_a_report_is_a_heading_and_tables() -> None:
    page = MARKDOWN.render(report_summary(report()))
    assert "<h3>✅ pass: resnet20-fashion for reference</h3>" in page
    assert page.count("<table>") == 2
    assert "<td>96.80 %</td>" in page
    assert "<td>0.4199 ms (host)</td>" in page


def test_the_markdown_of_pixels_has_both_shares() -> None:
    text = report_summary(pixel_report())
    assert "| right pixels |" in text
    assert "| mean IoU of an image |" in text


def test_the_markdown_of_a_comparison_has_its_warnings() -> None:
    page = MARKDOWN.render(comparison_summary(compare(baseline_of(report()), report(int8_ms=0.84))))
    assert page.count("<table>") == 2
    assert "<blockquote>" in page
    assert "measure both engines interleaved" in page


@given(st.text(alphabet=st.sampled_from("ab1 <>|*_`[]()!\\&;#~\n\r@:/")))
def test_escaped_text_is_only_text(text: str) -> None:
    cell = MARKDOWN.render(f"| x |\n|---|\n| {escape(text)} |\n")
    assert cell.count("<td>") == 1
    assert all(tag not in cell for tag in ("<a ", "<em", "<strong", "<code", "<img", "<del"))


def test_a_comparison_fits_80_columns() -> None:
    console = Console(file=io.StringIO(), width=80)
    render_comparison(compare(baseline_of(report()), report(int8_ms=0.84)), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.split()[0] == "PASS"
    assert "warning: p50 is +100.0 % against" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
