"""What report.json says of the time from a picture's file to its logits."""

from pydantic import PositiveInt

from pipeline.report.model.measured_latency import Quantile
from pipeline.report.record import Record
from targets.base import Origin


class StepTime(Record):
    """One step, by quantiles over runs that take the pictures in turn."""

    p50: Quantile
    p90: Quantile
    p99: Quantile
    runs: PositiveInt


class EndToEnd(Record):
    """The steps and the whole, one picture at a time, timed in alternation."""

    origin: Origin
    pictures: PositiveInt
    smallest: tuple[PositiveInt, PositiveInt]  # height and width
    largest: tuple[PositiveInt, PositiveInt]
    threads: PositiveInt
    decode: StepTime | None  # from the bytes of a file in memory; None: pixels are stored
    fit: StepTime  # resize, crop or pad
    model: StepTime  # the INT8 engine alone
    whole: StepTime  # all of it, and the likeliest classes
    noisy: tuple[str, ...] = ()  # reasons not to trust the figures of the whole
