"""A report in the terminal: the verdict first, then what it rests on. Readable at 80 columns."""

from collections.abc import Sequence
from itertools import chain

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.report import figures
from pipeline.report.comparison import Comparison
from pipeline.report.model.build_report import SECTIONS, Report
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.section import ReportSection
from pipeline.report.table import FigureTable
from targets.base import BuildState

STYLES = {
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.MEANINGLESS: "bold red",
}


def render_terminal(
    report: Report, console: Console, sections: Sequence[ReportSection[Report]] = SECTIONS
) -> None:
    """Print the report."""
    parts = chain.from_iterable(section.terminal(report) for section in sections)
    console.print(Padding(Group(_headline(report, sections), _gates(report.gates), *parts), (1, 1)))


def _headline(report: Report, sections: Sequence[ReportSection[Report]]) -> Text:
    subject = report.subject
    lines = [
        Text.assemble(
            (report.verdict.upper(), STYLES[report.verdict]),
            "  ",
            (subject.model, "bold"),
            " for ",
            (subject.target, "bold"),
            f", {subject.recipe}",
            (f"  {report.state}" if report.state is not BuildState.BUILT else "", "bold yellow"),
        ),
        Text(
            f"{subject.dataset}: {figures.plural(subject.evaluation_images, 'image')} evaluated, "
            f"{figures.count(subject.calibration_images)} calibrated",
            style="dim",
        ),
        *chain.from_iterable(section.terminal_lead(report) for section in sections),
    ]
    return Text("\n").join(lines)


def _gates(gates: tuple[Gate, ...]) -> RenderableType:
    if not gates:
        return Text("\nno gate was asked for", style="dim")
    table = FigureTable("Gates", "")
    for gate in gates:
        next_step = f"\n{gate.next_step}" if gate.next_step else ""
        message = Text.assemble(gate.claim, "\n", (gate.message, "dim"), next_step)
        table.add_row(Text(gate.verdict, style=STYLES[gate.verdict]), message)
    return table


def render_comparison(comparison: Comparison, console: Console) -> None:
    """Print what moved between a baseline and a build."""
    title = Text.assemble(
        (comparison.verdict.upper(), STYLES[comparison.verdict]),
        "  ",
        (comparison.model, "bold"),
        " for ",
        (comparison.target, "bold"),
        " against its baseline",
    )
    table = FigureTable("", "baseline", "this build", "")
    for moved in comparison.moved:
        table.add_row(moved.name, moved.before, moved.after, Text(moved.note, style="dim"))
    warnings = [Text(f"warning: {warning}", style="yellow") for warning in comparison.warnings]
    console.print(Padding(Group(title, _gates(comparison.gates), table, *warnings), (1, 1)))
