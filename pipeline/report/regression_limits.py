"""How much worse than its baseline a build may be, unless told otherwise."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much worse than its baseline a build may be."""

    max_drop: float = 0.5  # percentage points of INT8's top-1
    max_latency_ratio: float = 1.02
    max_size_ratio: float = 1.05
