"""What a Jetson sustained in each of its power modes: the record that `./run power-modes` writes there."""

from pydantic import PositiveFloat

from pipeline.report.model.sustained_run import SustainedRun
from pipeline.report.record import Record


class SweptEngine(Record):
    """The engine's file, and the choice among its candidates as the device wrote it."""

    sha256: str
    choice: str = ""


class SweptUnder(Record):
    """What the results of all modes have in common."""

    engine: SweptEngine
    seconds: PositiveFloat
    form: int


class NamedMode(Record):
    """A mode of nvpmodel."""

    number: int
    name: str


class PowerModeSweep(Record):
    """A short soak in each mode, by its name, in the order in which they were measured."""

    results: dict[str, SustainedRun]
    not_in_force: dict[str, tuple[str, ...]]
    """Modes that were set and not measured, since limits of theirs were not in force, and which."""
    left: tuple[str, ...]
    """Modes that need a reboot."""
    around: SweptUnder
    before: NamedMode | None = None
    """The mode to go back to, while modes are left."""
