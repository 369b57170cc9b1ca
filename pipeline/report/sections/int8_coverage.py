"""How much of the network's work runs in INT8, and which layers were left in floating point, and why."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from pydantic import NonNegativeInt, PositiveInt
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.report import figures
from pipeline.report.model.certainty import Interval
from pipeline.report.record import Record, Sha256
from pipeline.report.section import ReportSection
from pipeline.report.table import FigureTable
from targets.base import Origin


class TimedLayer(Record):
    """What one layer takes, run alone on one thread with warm caches."""

    layer: str
    int8: bool
    macs: NonNegativeInt
    microseconds: float


class LayerTimes(Record):
    """Where the time goes."""

    origin: Origin
    layers: tuple[TimedLayer, ...]

    @property
    def total(self) -> float:
        """Microseconds of all layers."""
        return sum(layer.microseconds for layer in self.layers)

    @property
    def int8_share(self) -> float:
        """The share of the time that integers take."""
        return sum(layer.microseconds for layer in self.layers if layer.int8) / self.total


class Coverage(Record):
    """How much of the network's work runs in INT8."""

    int8_macs: NonNegativeInt
    total_macs: PositiveInt
    float_layers: tuple[str, ...]  # all that computes in float, with weights or not; the slowest first
    times: LayerTimes | None = None  # where layers can be timed one by one


def slowest_in_float(times: LayerTimes) -> tuple[str, ...]:
    """Return what computes in float, what takes longest first."""
    in_float = [layer for layer in times.layers if not layer.int8]
    return tuple(layer.layer for layer in sorted(in_float, key=lambda layer: -layer.microseconds))


class FloatLayer(Record):
    """A layer left in floating point: why, and what that costs."""

    layer: str
    sqnr_db: float  # of the logits with only this layer in INT8
    saved_points: float  # by which the interval of the drop would end higher with it in INT8
    macs_share: float  # of the multiply-accumulates of one image


class MixedPrecision(Record):
    """Which layers were left in floating point so that the drop on tuning images stays within a limit."""

    max_drop_points: float
    precision: str  # of the layers in floating point: fp32 or fp16
    images: PositiveInt  # neither calibration nor evaluation images
    images_digest: Sha256  # Split.digest of them
    layers: tuple[FloatLayer, ...]  # the noisiest first
    drop: Interval  # percentage points of top-1, of what was chosen
    all_int8: Interval  # of every layer in INT8
    all_float: Interval  # of none; drop's if that was not needed
    passes: bool  # drop ends within the limit; if not, no layer was left in float


class Covered(Protocol):
    """What the section reads of report.json."""

    @property
    def coverage(self) -> Coverage | None:
        """None in reports that were written without it."""
        ...

    @property
    def mixed(self) -> MixedPrecision | None:
        """None: nobody asked for layers in float."""
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
        }

    def terminal(self, report: Covered) -> Iterator[RenderableType]:
        """Yield what computes in float, and the layers that were left there on purpose."""
        if report.coverage is not None:
            yield Padding(Text(f"INT8: {in_float(report.coverage)}", style="dim"), (1, 0, 0, 1))
        found = report.mixed
        if found is None:
            return
        if found.layers:
            table = FigureTable("Left in float", "SQNR alone", "points saved", "share of MAC")
            for layer in found.layers:
                shown = figures.decibels(layer.sqnr_db), figures.points(layer.saved_points)
                table.add_row(layer.layer, *shown, figures.percent(layer.macs_share))
            yield table
        yield Text(conclusion(found))

    def markdown(self, report: Covered) -> Iterator[str]:
        """Yield what computes in float."""
        if report.coverage is not None:
            yield f"INT8: {in_float(report.coverage)}"


def in_float(coverage: Coverage) -> str:
    """Say how much computes in float: by time where it is known, which can never be nothing and a share."""
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


def conclusion(mixed: MixedPrecision) -> str:
    """Say in one sentence what it took to keep the drop within the limit on the tuning images."""
    limit, on = f"{mixed.max_drop_points:g} points", f"on {figures.plural(mixed.images, 'tuning image')}"
    if not mixed.passes:
        return (
            f"A drop within {limit} cannot be shown {on}: with no layer in INT8 its interval would still end"
            f" at {_end(mixed.all_float.high)}. All layers stay in INT8. Set aside more images for"
            " calibration, or raise calibration.max_drop."
        )
    ends = f"its interval ends at {_end(mixed.drop.high)}"
    if not mixed.layers:
        return f"All layers in INT8 keep the drop within {limit} {on}: {ends}."
    return (
        f"{figures.plural(len(mixed.layers), 'layer')} left in {mixed.precision} to keep the drop within"
        f" {limit} {on}: {ends}; with all in INT8, at {_end(mixed.all_int8.high)}."
    )


def reason(layer: FloatLayer) -> str:
    """Say why a layer is in floating point, and what that costs."""
    return (
        f"alone in INT8 it leaves {figures.decibels(layer.sqnr_db)}; with it in INT8 too the interval ends"
        f" {layer.saved_points:.2f} points higher; in float it keeps {layer.macs_share:.1%} of the arithmetic"
    )


def _end(high: float | None) -> str:
    return "no number" if high is None else f"{high:.2f}"
