"""A model card: what a network is for, what it was made of, and how well it does, from its report alone.

The headings are those of Mitchell et al. 2019, "Model Cards for Model Reporting", as far as a build knows.
"""

from html import escape as escape_html

from pipeline.report.markdown import escape, report_summary
from pipeline.report.model.build_report import Report

STYLE = "body{font:1rem/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}"
STYLE += "td,th{border:1px solid #999;padding:.2rem .5rem;text-align:left;overflow-wrap:anywhere}"
STYLE += "table{border-collapse:collapse;width:100%}"
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
        ("Intended use", [("what it tells apart", classes), ("what it must not be used for", UNKNOWN)]),
        ("Evaluation data", [("data set", subject.dataset), ("images", f"{subject.evaluation_images:,}")]),
        ("Training data", [("images", UNKNOWN), ("calibration images", f"{subject.calibration_images:,}")]),
        ("Ethical considerations", [("whom it may harm", UNKNOWN)]),
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
    title = escape_html(f"{report.subject.model} for {report.subject.target}")
    gates = [(f"{gate.verdict}: {gate.claim}", gate.message) for gate in report.gates]
    parts = [("Results", [("verdict", str(report.verdict)), *gates]), *facts(report)]
    body = "".join(
        f"<h2>{escape_html(heading)}</h2><table>"
        + "".join(f"<tr><th scope=row>{escape_html(n)}</th><td>{escape_html(v)}</td></tr>" for n, v in rows)
        + "</table>"
        for heading, rows in parts
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>\n"
    )
