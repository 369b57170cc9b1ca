"""What the toolchain said about the graph."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.text import Text

from pipeline.report.model.toolchain_check import ToolchainCheck
from pipeline.report.section import ReportSection
from pipeline.report.table import FigureTable


class CheckedByToolchain(Protocol):
    """What the section reads of report.json."""

    @property
    def checks(self) -> tuple[ToolchainCheck, ...]:
        """Empty where the toolchain checks nothing."""
        ...


class ToolchainCheckSection(ReportSection[CheckedByToolchain]):
    """The checks, with their outcomes."""

    name = "toolchain_checks"

    def html(self, report: CheckedByToolchain) -> Mapping[str, object] | None:
        """Return the checks."""
        return {"checks": report.checks} if report.checks else None

    def terminal(self, report: CheckedByToolchain) -> Iterator[FigureTable]:
        """Yield a table of them."""
        if not report.checks:
            return
        table = FigureTable("Checked", "")
        for check in report.checks:
            style = "green" if check.outcome == "passed" else "yellow"
            table.add_row(Text(check.outcome, style=style), check.message)
        yield table
