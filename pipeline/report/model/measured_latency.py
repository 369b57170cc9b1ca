"""What report.json says of latency, and of the machine while it was measured."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, NonNegativeInt, PositiveInt

from pipeline.report.model.certainty import Interval, NotMeasured
from pipeline.report.record import Record
from targets.base import Origin


class MachineConditions(Record):
    """What can slow a machine down, read just before or after measuring. Empty: not readable there."""

    governors: tuple[str, ...] = ()
    frequencies_mhz: tuple[float, ...] = ()  # one a core
    temperature_c: float | None = None  # the hottest sensor; None: not readable
    throttle_events: int | None = None  # counted by the kernel since boot; None: not readable
    load_average: float | None = None  # one minute; None: not readable
    cores: PositiveInt
    limits: tuple[str, ...] = ()  # what held the clocks down at that moment, such as "under-voltage"
    limits_since_boot: tuple[str, ...] = ()


class Quantile(Record):
    """A quantile of latency with its distribution-free (order statistic) interval."""

    ms: float
    interval: Interval  # ms


class Latency(Record):
    """Time from images in memory to logits in memory, after warm-up."""

    kind: Literal["measured"] = "measured"
    origin: Origin
    measured_at: AwareDatetime
    batch: PositiveInt
    threads: PositiveInt | None  # None: as the runner decides
    warmup_runs: NonNegativeInt
    warmup_stable: bool
    stopped: Literal["precise", "max_runs", "max_seconds"]  # why no more runs were made
    p50: Quantile
    p90: Quantile
    p99: Quantile
    throughput_per_s: float  # images a second, one after the other: batch / mean latency
    coefficient_of_variation: float  # standard deviation / mean
    effective_runs: float  # effective number of independent runs, for the median
    outliers: NonNegativeInt  # further than three interquartile ranges above the upper quartile
    noisy: tuple[str, ...]  # reasons not to trust the figures; empty: none found
    before: MachineConditions
    after: MachineConditions
    runs_ns: tuple[int, ...]  # every run in the order measured


class SpeedRatio(Record):
    """How many times as long a second engine takes, from rounds in which both ran one after the other."""

    ratio: float
    interval: Interval
    rounds: int
    effective_rounds: float  # effective number of independent rounds


class Instructions(Record):
    """Instructions executed for one image on one thread: the same number every time. It is not a latency."""

    origin: Origin
    per_inference: PositiveInt
    machine: str  # what was emulated


MeasuredLatency = Annotated[Latency | NotMeasured, Field(discriminator="kind")]
