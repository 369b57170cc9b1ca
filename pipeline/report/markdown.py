"""Summaries in GitHub-flavoured Markdown, for a pull request or a CI job's page."""

import re
from collections.abc import Sequence

from pipeline.report import figures
from pipeline.report.beside import beside, fitting_line, in_float, int8_is
from pipeline.report.comparison import Comparison
from pipeline.report.corruption_loss import conclusion
from pipeline.report.model.build_report import Gate, Report
from pipeline.report.model.certainty import NotMeasured, Verdict
from pipeline.report.model.performance import Latency

SIGNS = {
    Verdict.PASS: "✅ pass",
    Verdict.FAIL: "❌ fail",
    Verdict.INCONCLUSIVE: "❓ inconclusive",
    Verdict.MEANINGLESS: "⛔ meaningless",
}


def report_summary(report: Report) -> str:
    """Summarise a build: verdict, gates and the main figures."""
    rates, latencies = report.accuracy.rates, (report.latency_fp32, report.latency_int8)
    first = rates[0][1]
    rows = [
        *((name, figures.percent(rate.fp32), figures.percent(rate.int8)) for name, rate in rates),
        ("latency p50", *(_quantile(latency) for latency in latencies)),
        ("peak memory", figures.memory(report.memory_fp32), figures.memory(report.memory_int8)),
        ("ONNX", figures.size(report.sizes.model), figures.size(report.sizes.int8_model)),
        ("engine", "", figures.size(report.sizes.engine)),
    ]
    drop = f"Drop {figures.points(first.drop_points)} points {figures.interval(first.drop_interval)} on "
    return "\n".join(
        [
            _title(report.verdict, report.subject.model, report.subject.target),
            drop + f"{figures.plural(first.images, 'image')}.\n",
            *_gates(report.gates),
            *([] if report.diagnosis is None else [escape(report.diagnosis.conclusion) + "\n"]),
            *([] if report.fp32_is is None else [f"FP32 here is {escape(report.fp32_is)}\n"]),
            *_table(("", "FP32", "INT8"), rows),
            *_beside(report),
            *([] if report.robustness is None else [escape(conclusion(report.robustness)) + "\n"]),
        ]
    )


def _beside(report: Report) -> list[str]:
    """Write what was timed in alternation, what computes in float, and what becomes of pictures."""
    lines = []
    if report.compared:
        head = ("timed in alternation", "p50", "INT8 is", "same top-1 as FP32", "what it is")
        rows = [(r.name, r.p50, r.int8_is, r.agreement, "; ".join(r.details)) for r in beside(report)]
        lines += _table(head, rows)
        lines.append(escape(int8_is(report)) + "\n")
    if report.no_peer is not None:
        lines.append(f"onnxruntime's own INT8 not measured: {escape(report.no_peer)}\n")
    if report.coverage is not None:
        lines.append(f"INT8: {escape(in_float(report.coverage))}\n")
    if report.fitting is not None:
        lines.append(f"Pictures: {escape(fitting_line(report.fitting))}\n")
    return lines


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
    rows = [(SIGNS[gate.verdict], gate.claim, gate.message) for gate in gates]
    return _table(("verdict", "claim", "why"), rows) if rows else []


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return [*lines, ""]


def _quantile(latency: Latency | NotMeasured) -> str:
    if isinstance(latency, NotMeasured):
        return figures.NOT_MEASURED
    return f"{figures.milliseconds(latency.p50.ms)} ({latency.origin})"
