"""Which of two engines on a device to ship."""

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

from rich.text import Text

from pipeline.report import figures
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.measured_latency import SpeedRatio
from pipeline.report.record import Record
from pipeline.report.section import ReportSection
from pipeline.report.table import FigureTable
from targets.base import Origin


class Recommendation(Record):
    """Which of two engines on a device to ship: the faster one whose accuracy passes; a tie goes to FP16."""

    ship: Literal["INT8", "FP16"] | None  # None: neither is shown to pass the accuracy gates
    why: str
    fp16_top1: float  # share of all evaluation images that FP16 got right on the device
    fp16_drop_points: float  # from FP32 to FP16, percentage points
    fp16_drop_interval: Interval
    int8_accuracy: Verdict  # of all accuracy gates together
    fp16_accuracy: Verdict
    speed: SpeedRatio  # INT8's time over FP16's, end to end, timed alternately


class MeasuredSomewhere(Protocol):
    """Accuracy, of images or of pixels."""

    @property
    def int8_origin(self) -> Origin:
        """Where INT8 ran; FP16 ran there too."""
        ...


class Advised(Protocol):
    """What the section reads of report.json."""

    @property
    def recommendation(self) -> Recommendation | None:
        """None: there was only one engine to choose from."""
        ...

    @property
    def accuracy(self) -> MeasuredSomewhere:
        """Of INT8."""
        ...


class RecommendationSection(ReportSection[Advised]):
    """The advice, why, and how right FP16 is."""

    name = "recommendation"

    def html(self, report: Advised) -> Mapping[str, object] | None:
        """Return the advice."""
        if report.recommendation is None:
            return None
        return {"advice": report.recommendation, "where": report.accuracy.int8_origin}

    def terminal(self, report: Advised) -> Iterator[FigureTable]:
        """Yield the advice as a table."""
        found = report.recommendation
        if found is None:
            return
        table = FigureTable("Ship on this device", "")
        table.add_row(Text(found.ship or "neither", style="bold"), found.why)
        drop = f"{figures.points(found.fp16_drop_points)} {figures.interval(found.fp16_drop_interval)}"
        table.add_row("FP16 top-1", f"{figures.percent(found.fp16_top1)}, drop {drop} points")
        yield table
