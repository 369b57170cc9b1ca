"""What was timed in alternation with INT8: other networks and engines that would run instead of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import NonNegativeInt
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.report import figures
from pipeline.report.model.measured_latency import Quantile, SpeedRatio
from pipeline.report.model.subject import Subject
from pipeline.report.record import Record
from pipeline.report.section import MarkdownTable, ReportSection
from pipeline.report.sections.latency import times_as_fast
from pipeline.report.table import FigureTable

HEAD = ("Timed in alternation", "p50", "INT8, times as fast", "same top-1 as FP32")


class ComparedRun(Record):
    """Another way to run the network on the same machine, timed in alternation with INT8."""

    name: str
    graph: str  # which network, and where it begins
    engine: str  # what runs it, with its version and settings
    input: str  # what it gets, and what is not in its time
    p50: Quantile
    speed: SpeedRatio | None  # INT8's time over this one's; None: INT8 does not run on this machine
    baseline: bool = False  # what this report calls FP32
    agreement: float | None = None  # share of images with the same top-1 as FP32; None: not compared
    agreement_images: NonNegativeInt = 0
    note: str = ""


@dataclass(frozen=True)
class ComparedRow:
    """One of them: its latency, INT8's speed against it, how often it agrees with FP32, and what it is."""

    name: str
    p50: str
    times_as_fast: str
    agreement: str
    details: tuple[str, ...]


class TimedBeside(Protocol):
    """What the section reads of report.json."""

    @property
    def compared(self) -> tuple[ComparedRun, ...]:
        """Empty where nothing was timed."""
        ...

    @property
    def no_peer(self) -> str | None:
        """Why onnxruntime's own INT8 is not among them."""
        ...

    @property
    def subject(self) -> Subject:
        """Names the engine."""
        ...


class ComparedRunSection(ReportSection[TimedBeside]):
    """A row for each, and what it is in words."""

    name = "compared_runs"

    def html(self, report: TimedBeside) -> Mapping[str, object] | None:
        """Return the rows, and why one is missing."""
        if not report.compared and report.no_peer is None:
            return None
        return {
            "rows": compared_rows(report.compared),
            "int8_is": int8_is(report.subject),
            "no_peer": report.no_peer,
        }

    def terminal(self, report: TimedBeside) -> Iterator[RenderableType]:
        """Yield the rows, with what each of them is below."""
        rows = compared_rows(report.compared)
        if rows:
            table = FigureTable(*HEAD)
            for row in rows:
                table.add_row(row.name, row.p50, row.times_as_fast, row.agreement)
            yield table
        for line in _notes(report, [f"{row.name}: {'; '.join(row.details)}" for row in rows]):
            yield Padding(Text(line, style="dim"), (0, 0, 0, 1))

    def markdown(self, report: TimedBeside) -> Iterator[str | MarkdownTable]:
        """Yield the rows, which say what each of them is."""
        rows = compared_rows(report.compared)
        if rows:
            cells = [(r.name, r.p50, r.times_as_fast, r.agreement, "; ".join(r.details)) for r in rows]
            yield MarkdownTable((HEAD[0].lower(), *HEAD[1:], "what it is"), tuple(cells))
        yield from _notes(report)


def compared_rows(runs: tuple[ComparedRun, ...]) -> list[ComparedRow]:
    """Return them as they are written."""
    return [_row(run) for run in runs]


def int8_is(subject: Subject) -> str:
    """Say what INT8 is in that comparison."""
    return f"INT8: {subject.target}'s engine from uint8 pixels to logits, normalisation included"


def _row(run: ComparedRun) -> ComparedRow:
    details = [f"{run.graph}; {run.engine}", f"input: {run.input}"]
    if run.note:
        details.append(run.note)
    agreement = ""
    if run.agreement is not None:
        agreement = f"{figures.percent(run.agreement)} of {figures.plural(run.agreement_images, 'image')}"
    return ComparedRow(
        name=f"{run.name} (this report's FP32)" if run.baseline else run.name,
        p50=f"{figures.milliseconds(run.p50.ms)} {figures.milliseconds_interval(run.p50.interval)}",
        times_as_fast="" if run.speed is None else times_as_fast(run.speed),
        agreement=agreement,
        details=tuple(details),
    )


def _notes(report: TimedBeside, told: list[str] | None = None) -> Iterator[str]:
    yield from told or ()
    if report.compared:
        yield int8_is(report.subject)
    if report.no_peer is not None:
        yield f"onnxruntime's own INT8 not measured: {report.no_peer}"
