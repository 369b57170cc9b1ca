"""The forms of a network that competed on a device, with the latency of each there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.report import figures
from pipeline.report.model.candidate_figures import CandidateFigures, EngineCandidate, LostPoints
from pipeline.report.model.measured_latency import Quantile
from pipeline.report.section import MarkdownTable, ReportSection
from pipeline.report.table import FigureTable

HEAD = (
    "Candidate on the device",
    "end to end p50",
    "computing p50",
    "INT8 layers",
    "same class as FP16",
    "top-1 lost against FP16",
)
NOTE = (
    "Timed in alternation on the device, fixed batch. The accuracy elsewhere in this report is of the "
    "candidate int8"
)


class HasCompeted(Protocol):
    """What the section reads of report.json."""

    @property
    def candidates(self) -> tuple[EngineCandidate, ...]:
        """Empty where only one engine was built."""
        ...


@dataclass(frozen=True)
class CandidateRow:
    """One of them as it is written."""

    name: str
    cells: tuple[str, ...]
    about: str


class EngineCandidateSection(ReportSection[HasCompeted]):
    """A row for each, and what it is in words."""

    name = "engine_candidates"

    def html(self, report: HasCompeted) -> Mapping[str, object] | None:
        """Return the rows."""
        rows = _rows(report)
        return {"head": HEAD, "rows": rows, "note": NOTE} if rows else None

    def terminal(self, report: HasCompeted) -> Iterator[RenderableType]:
        """Yield the rows, with what each of them is below."""
        rows = _rows(report)
        if not rows:
            return
        table = FigureTable(*HEAD)
        for row in rows:
            table.add_row(row.name, *row.cells)
        yield table
        for line in (*(f"{row.name}: {row.about}" for row in rows), NOTE):
            yield Padding(Text(line, style="dim"), (0, 0, 0, 1))

    def markdown(self, report: HasCompeted) -> Iterator[str | MarkdownTable]:
        """Yield the rows, which say what each of them is."""
        rows = _rows(report)
        if rows:
            cells = tuple((row.name, *row.cells, row.about) for row in rows)
            yield MarkdownTable((HEAD[0].lower(), *HEAD[1:], "what it is"), cells)
            yield NOTE


def _rows(report: HasCompeted) -> list[CandidateRow]:
    return [CandidateRow(one.name, _cells(one.figures), _about(one)) for one in report.candidates]


def _about(one: EngineCandidate) -> str:
    if one.problem:
        return f"{one.what}; no engine: {one.problem}"
    return f"{one.what}. Chosen: {one.chosen}" if one.chosen else one.what


def _cells(found: CandidateFigures | None) -> tuple[str, ...]:
    if found is None:
        return ("not built", "", "", "", "")
    layers = "not told" if found.layers is None else f"{found.int8_layers} of {found.layers}"
    same = f"{figures.percent(found.same_class)} of {figures.plural(found.images, 'image')}"
    return (*(_median(one) for one in (found.end_to_end, found.compute)), layers, same, _lost(found.drop))


def _lost(found: LostPoints | None) -> str:
    if found is None:
        return ""
    return f"{found.value:.2f} points [{found.interval.low:.2f}, {found.interval.high:.2f}]"


def _median(found: Quantile) -> str:
    return f"{figures.milliseconds(found.ms)} {figures.milliseconds_interval(found.interval)}"
