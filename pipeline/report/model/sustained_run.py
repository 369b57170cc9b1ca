"""What a device sustained over minutes: the record that `./run soak` writes there."""

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from pipeline.report.record import Record


class SustainedDrift(Record):
    """How many times as long the median inference took in the last fifth of the time as in the first."""

    ratio: PositiveFloat
    low: NonNegativeFloat
    high: PositiveFloat | None


class SustainedEnergy(Record):
    """Millijoules an image: all that the board draws, and what it draws more than idle."""

    rails: str
    idle_watts: float
    watts: float
    mj_per_image: float
    above_idle_mj: float
    half_width_mj: float | None
    above_idle_half_width_mj: float | None = None
    """Of `above_idle_mj`; None in older records too, which had no error of the idle power."""


class SustainedRun(Record):
    """A soak, of the engine with this digest."""

    seconds: PositiveFloat
    inferences: PositiveInt
    images_per_s: PositiveFloat
    sustained_p90_ms: tuple[float, float, float | None] | None
    drift: SustainedDrift | None
    hottest_c: float | None
    held_back: dict[str, float]
    energy: SustainedEnergy | None
    no_energy: str
    engine_sha256: str
    candidate: str = ""
    """What ran on a Jetson, such as fp16: the engine is the file that its candidates were built from."""
    power_mode: str = ""
    """A Jetson's, with what of it was not in force; empty elsewhere and in older records."""
