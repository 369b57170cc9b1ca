"""How much the demo records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RecordingLimits:
    """What is recorded: pictures whose likeliest class has less than the probability `below`.

    Each camera gives one in `seconds`, and the folder to-label never has more than `pictures` or `bytes`.
    """

    below: float = 0.6
    seconds: float = 0.5
    pictures: int = 1000
    bytes: int = 1 << 30
