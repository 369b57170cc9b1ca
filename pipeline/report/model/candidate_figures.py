"""What report.json says of the forms of a network that competed on a device."""

from pydantic import NonNegativeInt, PositiveInt

from pipeline.report.model.certainty import Interval
from pipeline.report.model.measured_latency import Quantile
from pipeline.report.record import Record


class LostPoints(Record):
    """Points of top-1 lost against FP16 on the same images, with the interval for as many candidates."""

    value: float
    interval: Interval


class CandidateFigures(Record):
    """What was measured of a candidate that was built."""

    end_to_end: Quantile
    compute: Quantile
    layers: PositiveInt | None  # None: TensorRT did not tell
    int8_layers: NonNegativeInt | None
    same_class: float  # share of images with the class that FP16 names
    images: PositiveInt
    drop: LostPoints | None = None  # None: this is FP16, or nothing was chosen


class EngineCandidate(Record):
    """A form of the network, and its figures or why no engine of it was built."""

    name: str
    what: str
    problem: str = ""
    figures: CandidateFigures | None = None
    chosen: str = ""  # why this is the one to use; empty for others
