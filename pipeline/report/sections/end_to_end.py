"""The time from a picture's file to the answer. Decoding and resizing can take longer than the model."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.report import figures
from pipeline.report.model.picture_latency import EndToEnd, StepTime
from pipeline.report.section import ComparedFigure, HeadlineFigure, ReportSection
from pipeline.report.table import FigureTable

QUANTILES = ("p50", "p90", "p99")


class TimedWhole(Protocol):
    """What the section reads of report.json."""

    @property
    def end_to_end(self) -> EndToEnd | None:
        """None: the engine does not run on this machine, or the report was written without it."""
        ...


class EndToEndSection(ReportSection[TimedWhole]):
    """A row for each step, and the model's share of the whole."""

    name = "end_to_end"

    def html(self, report: TimedWhole) -> Mapping[str, object] | None:
        """Return the rows, and what they are of."""
        found = report.end_to_end
        if found is None:
            return None
        return {
            "origin_of": found.origin,
            "steps": steps(found),
            "quantiles": QUANTILES,
            "conclusion": conclusion(found),
            "pictures": pictures(found),
        }

    def terminal(self, report: TimedWhole) -> Iterator[RenderableType]:
        """Yield the rows, and what they are of."""
        found = report.end_to_end
        if found is None:
            return
        table = FigureTable("From picture to answer", *QUANTILES)
        for name, step in steps(found):
            table.add_row(name, *(figures.milliseconds(getattr(step, mark).ms) for mark in QUANTILES))
        yield table
        yield Padding(Text(conclusion(found)), (0, 0, 0, 1))
        yield Padding(Text(f"{pictures(found)}, on {found.origin}", style="dim"), (0, 0, 0, 1))

    def markdown(self, report: TimedWhole) -> Iterator[str]:
        """Yield the model's share of the whole."""
        if report.end_to_end is not None:
            yield f"{conclusion(report.end_to_end)} ({pictures(report.end_to_end)})"

    def markdown_rows(self, report: TimedWhole) -> Iterator[ComparedFigure]:
        """Yield the median of the whole."""
        found = report.end_to_end
        if found is not None:
            whole = f"{figures.milliseconds(found.whole.p50.ms)} ({found.origin})"
            yield ComparedFigure("picture to answer, p50", "", whole)

    def tiles(self, report: TimedWhole) -> Iterator[HeadlineFigure]:
        """Yield the median of the whole."""
        found = report.end_to_end
        if found is not None:
            note = f"the model alone {figures.milliseconds(found.model.p50.ms)}"
            whole = figures.milliseconds(found.whole.p50.ms)
            yield HeadlineFigure("Picture to answer, p50", whole, note)


def steps(found: EndToEnd) -> list[tuple[str, StepTime]]:
    """Return the steps that there are with their names, and the whole."""
    decode = [] if found.decode is None else [("decode", found.decode)]
    return [*decode, ("resize and crop", found.fit), ("model", found.model), ("whole", found.whole)]


def conclusion(found: EndToEnd) -> str:
    """Say what share of the whole the model has."""
    whole, model = found.whole.p50.ms, found.model.p50.ms
    return (
        f"A picture takes {figures.milliseconds(whole)} from {_begins(found)} to the answer,"
        f" of which the model takes {figures.milliseconds(model)} ({min(1.0, model / whole):.0%})."
    )


def pictures(found: EndToEnd) -> str:
    """Say which pictures, and how they were timed."""
    sizes = [f"{height} x {width}" for height, width in (found.smallest, found.largest)]
    of = sizes[0] if sizes[0] == sizes[1] else f"{sizes[0]} to {sizes[1]}"
    stored = "their files in memory" if found.decode is not None else "stored as pixels: nothing to decode"
    threads = figures.plural(found.threads, "thread")
    return f"{figures.plural(found.pictures, 'picture')} in turn, {of}, {stored}, one at a time, {threads}"


def _begins(found: EndToEnd) -> str:
    return "its file" if found.decode is not None else "its pixels"
