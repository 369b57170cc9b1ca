"""Summaries in GitHub-flavoured Markdown, for a pull request or a CI job's page."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pipeline.report.comparison import Comparison
from pipeline.report.model.build_report import SECTIONS, Report
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.section import MarkdownTable, ReportSection

SIGNS = {
    Verdict.PASS: "✅ pass",
    Verdict.FAIL: "❌ fail",
    Verdict.INCONCLUSIVE: "❓ inconclusive",
    Verdict.MEANINGLESS: "⛔ meaningless",
}


def report_summary(report: Report, sections: Sequence[ReportSection[Report]] = SECTIONS) -> str:
    """Summarise a build: verdict, gates and the main figures."""
    lead = chain.from_iterable(section.markdown_lead(report) for section in sections)
    figures = chain.from_iterable(section.markdown_rows(report) for section in sections)
    rows = [(figure.name, figure.fp32, figure.int8) for figure in figures]
    content = chain.from_iterable(section.markdown(report) for section in sections)
    return "\n".join(
        [
            _title(report.verdict, report.subject.model, report.subject.target),
            *(_paragraph(text) for text in lead),
            *_gates(report.gates),
            *_table(("", "FP32", "INT8"), rows),
            *_content(content),
        ]
    )


def comparison_summary(comparison: Comparison) -> str:
    """Summarise what moved between a baseline and a build."""
    rows = [(moved.name, moved.before, moved.after, moved.note) for moved in comparison.moved]
    return "\n".join(
        [
            _title(comparison.verdict, comparison.model, comparison.target),
            *_gates(comparison.gates),
            *_table(("", "baseline", "this build", ""), rows),
            *[f"> ⚠️ {escape(warning)}\n" for warning in comparison.warnings],
        ]
    )


def escape(text: str) -> str:
    """Keep text from being read as Markdown or HTML, or from ending a table's cell."""
    safe = re.sub(r"([\\`*_{}\[\]<>#|~!&@])", r"\\\1", text)
    return safe.replace("\r", " ").replace("\n", " ")


def _title(verdict: Verdict, model: str, target: str) -> str:
    return f"### {SIGNS[verdict]}: {escape(model)} for {escape(target)}\n"


def _gates(gates: Sequence[Gate]) -> list[str]:
    rows = [
        (SIGNS[gate.verdict], gate.claim, f"{gate.message}. {gate.next_step}".rstrip(". ")) for gate in gates
    ]
    return _table(("verdict", "claim", "why"), rows) if rows else []


def _why(gate: Gate) -> str:
    return f"{gate.message}. {gate.next_step}" if gate.next_step else gate.message


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return [*lines, ""]


def _content(content: Iterable[str | MarkdownTable]) -> Iterator[str]:
    for one in content:
        if isinstance(one, str):
            yield _paragraph(one)
        else:
            yield from _table(one.head, one.rows)


def _paragraph(text: str) -> str:
    return escape(text) + "\n"
