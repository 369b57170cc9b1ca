"""How much of the network's work runs in INT8, and which layers were left in floating point, and why."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.report import figures
from pipeline.report.mixed_words import computes_in, conclusion
from pipeline.report.model.float_layers import Coverage, MixedPrecision, RaisedLayer
from pipeline.report.section import ReportSection
from pipeline.report.table import FigureTable


class Covered(Protocol):
    """What the section reads of report.json."""

    @property
    def coverage(self) -> Coverage | None:
        """None in reports that were written without it."""
        ...

    @property
    def mixed(self) -> MixedPrecision | None:
        """None: layers in float were not asked for."""
        ...


class Int8CoverageSection(ReportSection[Covered]):
    """Arithmetic and time in INT8, and the layers that were left in float."""

    name = "int8_coverage"

    def html(self, report: Covered) -> Mapping[str, object] | None:
        """Return the coverage, and what was left in float."""
        if report.coverage is None:
            return None
        return {
            "coverage": report.coverage,
            "in_float": in_float(report.coverage),
            "mixed": report.mixed,
            "conclusion": conclusion,
            "computes_in": computes_in,
            "added_time": added_time,
        }

    def terminal(self, report: Covered) -> Iterator[RenderableType]:
        """Yield what computes in float, and the layers that were left there on purpose."""
        if report.coverage is not None:
            yield Padding(Text(f"INT8: {in_float(report.coverage)}", style="dim"), (1, 0, 0, 1))
        found = report.mixed
        if found is None:
            return
        if found.layers:
            table = FigureTable(
                "More than 8 bits", "in place of INT8", "SQNR alone", "points saved", "added time"
            )
            for layer in found.layers:
                shown = figures.decibels(layer.sqnr_db), figures.points(layer.saved_points)
                table.add_row(layer.layer, computes_in(layer, found), *shown, added_time(layer))
            yield table
        yield Text(conclusion(found))

    def markdown(self, report: Covered) -> Iterator[str]:
        """Yield what computes in float."""
        if report.coverage is not None:
            yield f"INT8: {in_float(report.coverage)}"


def added_time(layer: RaisedLayer) -> str:
    """Write the time that a layer adds, an estimate, as a share of the network's."""
    return "not known" if layer.added_time is None else f"{layer.added_time:.1%}"


def in_float(coverage: Coverage) -> str:
    """Say how much computes in float, with its share of the time where layers were timed."""
    named = ", ".join(coverage.float_layers[:5])
    more = len(coverage.float_layers) - 5
    if more > 0:
        named += f" and {more} more"
    if not coverage.float_layers:
        return "nothing computes in float"
    layers = figures.plural(len(coverage.float_layers), "layer")
    share = ""
    if coverage.times is not None:
        share = f", {figures.percent(1 - coverage.times.int8_share)} of the time in layers"
    return f"{layers} in float{share}: {named}"
