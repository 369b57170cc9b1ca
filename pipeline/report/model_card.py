"""A model card: what a network is for, what it was made of, and how well it does, from its report alone.

The headings are those of Mitchell et al. 2019, "Model Cards for Model Reporting", as far as a build knows.
"""

from pipeline.report.markdown import escape, report_summary
from pipeline.report.model.build_report import Report
from pipeline.report.pages.template import render_page

UNKNOWN = "A build does not know this. Write it down before you hand the model on."


def facts(report: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the card's parts: a heading, and names with values."""
    subject = report.subject
    classes = ", ".join(subject.classes[:20]) + (", ..." if len(subject.classes) > 20 else "")
    digests = {
        "checkpoint": subject.checkpoint_digest,
        "INT8 ONNX": subject.int8_model_digest,
        "engine": subject.engine_digest,
    }
    return [
        (
            "Model details",
            [
                ("model", subject.model),
                ("target", subject.target),
                ("quantisation", subject.recipe),
                *((f"sha256 of the {name}", digest) for name, digest in digests.items()),
            ],
        ),
        ("Intended use", [("its classes", classes), ("uses to avoid", UNKNOWN)]),
        ("Evaluation data", [("data set", subject.dataset), ("images", f"{subject.evaluation_images:,}")]),
        ("Training data", [("images", UNKNOWN), ("calibration images", f"{subject.calibration_images:,}")]),
        ("Ethical considerations", [("possible harm to people", UNKNOWN)]),
        ("Tools", sorted(report.tools.items())),
    ]


def card_markdown(report: Report) -> str:
    """Return the card in GitHub-flavoured Markdown."""
    lines = [
        f"# {escape(report.subject.model)} for {escape(report.subject.target)}",
        "",
        report_summary(report),
    ]
    for heading, rows in facts(report):
        lines += [f"## {heading}", "", "| | |", "|---|---|"]
        lines += [f"| {escape(name)} | {escape(value)} |" for name, value in rows]
        lines.append("")
    return "\n".join(lines)


def card_html(report: Report) -> str:
    """Return the card as a page without scripts."""
    gates = [(f"{gate.verdict}: {gate.claim}", gate.message) for gate in report.gates]
    parts = [("Results", [("verdict", str(report.verdict)), *gates]), *facts(report)]
    title = f"{report.subject.model} for {report.subject.target}"
    return render_page("model_card.html.j2", title=title, parts=parts)
