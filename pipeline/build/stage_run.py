"""How a stage of a build ended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StageRun:
    """How one stage ended: from the cache or run, and in what time."""

    stage: str
    cached: bool
    seconds: float
    damage: str = ""
    """What was wrong with the stored result, if the stage had to run again."""
