"""What report.json says of the layers that compute in floating point, and of the time of each layer."""

from pydantic import NonNegativeInt, PositiveInt

from pipeline.report.model.certainty import Interval
from pipeline.report.record import Record, Sha256
from targets.base import Origin


class TimedLayer(Record):
    """What one layer takes, run alone on one thread with warm caches."""

    layer: str
    int8: bool
    macs: NonNegativeInt
    microseconds: float


class LayerTimes(Record):
    """The time of each layer."""

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
    """Return the layers that compute in float, the slowest first."""
    in_float = [layer for layer in times.layers if not layer.int8]
    return tuple(layer.layer for layer in sorted(in_float, key=lambda layer: -layer.microseconds))


class RaisedLayer(Record):
    """A layer that has more than 8 bits: why, and what that costs."""

    layer: str
    wide: bool = False  # its input has 16 bits; else it is in floating point
    sqnr_db: float  # of the logits with only this layer in INT8
    wide_sqnr_db: float | None = None  # the same with an input of 16 bits; None where it cannot have them
    saved_points: float  # how much higher the interval of the drop would end with it in INT8
    macs_share: float  # of the multiply-accumulates of one image
    added_time: float | None = None  # an estimated share of the network's in INT8; None: not known


class MixedPrecision(Record):
    """Which layers got more than 8 bits so that the drop on tuning images stays within a limit."""

    max_drop_points: float
    precision: str  # of the layers in floating point: fp32 or fp16
    images: PositiveInt  # neither calibration nor evaluation images
    images_digest: Sha256  # Split.digest of them
    layers: tuple[RaisedLayer, ...]  # those that help most for their time first
    drop: Interval  # percentage points of top-1, of what was chosen
    all_int8: Interval  # of every layer in INT8
    all_float: Interval  # of none; drop's if that was not needed
    passes: bool  # drop ends within the limit; if not, all layers stayed in INT8
