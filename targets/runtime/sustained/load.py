"""What was seen while a network ran for minutes, and what follows from it: drift, energy, and a gate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Sequence

import numpy as np

from ..quantile import QuantileEstimate, quantile

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

PARTS = 5
"""The parts of the time: drift compares the last with the first, and the last is the sustained load."""
BATCHES, T_OF_BATCHES = 10, 2.262
"""Energy's interval is that of the means of so many parts of the time in a row, by Student's t with 9 degrees
of freedom (97.5 %): neighbouring seconds are not independent. Source: the method of batch means, Law 2015,
Simulation Modeling and Analysis, 9.5.3."""
FEWEST_SAMPLES = 3
"""Readings of power that each of these parts needs."""


@dataclass(frozen=True)
class PowerSample:
    """What the board drew at a moment, in seconds since the load began."""

    at_s: float
    watts: float


@dataclass(frozen=True)
class Seen:
    """What held the clocks back, when it was first seen, and the heat at a moment."""

    at_s: float
    temperature_c: float | None
    limits: tuple[str, ...]


@dataclass(frozen=True)
class Load:
    """Some seconds: when each inference began [n], how long it took [n], what was seen beside it."""

    seconds: float
    batch: int
    began_s: NDArray[np.float64]
    took_ms: NDArray[np.float64]
    power: tuple[PowerSample, ...]
    seen: tuple[Seen, ...]


@dataclass(frozen=True)
class Drift:
    """How many times as long the median inference takes in the last fifth as in the first, with bounds."""

    ratio: float
    low: float
    high: float | None


@dataclass(frozen=True)
class Energy:
    """Millijoules an image: all that the board draws, and what it draws more than idle, with intervals."""

    rails: str
    idle_watts: float
    watts: float
    mj_per_image: float
    above_idle_mj: float
    half_width_mj: float | None
    """Of the interval of `mj_per_image`; None where there are too few readings for one."""
    above_idle_half_width_mj: float | None
    """Of the interval of `above_idle_mj`, with the error of the idle power in it; None likewise."""


def part(load: Load, number: int, parts: int = PARTS) -> NDArray[np.float64]:
    """Return how long the inferences took that began in one of equal parts of the time."""
    start, end = (load.seconds * edge / parts for edge in (number, number + 1))
    return load.took_ms[(load.began_s >= start) & (load.began_s < end)]


def sustained_p90(load: Load) -> QuantileEstimate | None:
    """Return the p90 of the last part of the time, in ms; None if nothing ran then."""
    last = part(load, PARTS - 1)
    return quantile(last, 0.9) if len(last) else None


def drift(load: Load) -> Drift | None:
    """Compare the medians of the last and the first part; the bounds are of their intervals' ends."""
    first, last = part(load, 0), part(load, PARTS - 1)
    if not len(first) or not len(last):
        return None
    before, after = quantile(first, 0.5), quantile(last, 0.5)
    low = 0.0 if before.high is None else after.low / before.high
    high = None if after.high is None or not before.low else after.high / before.low
    return Drift(after.value / before.value, low, high)


def held_back(load: Load) -> dict[str, float]:
    """Return what held the clocks back, and the second when it was first seen."""
    found: dict[str, float] = {}
    for one in load.seen:
        for limit in one.limits:
            found.setdefault(limit, one.at_s)
    return found


def energy(load: Load, rails: str, idle: Sequence[float]) -> Energy | None:
    """Return the energy of an image; None without readings or images. `idle` are watts, read one by one.

    Energy is mean power times time, over the images of the same time. The errors of the load and of the idle
    power are independent: their half widths add as squares.
    """
    if not load.power or not len(load.took_ms) or not idle:
        return None
    whole = _mj_per_image(load, 0, 1)
    seconds_an_image = load.seconds / (len(load.took_ms) * load.batch)
    if whole is None:
        return None
    enough = len(load.power) >= BATCHES * FEWEST_SAMPLES
    width = _half_width([_mj_per_image(load, i, BATCHES) for i in range(BATCHES)]) if enough else None
    idle_watts, idle_width = float(np.mean(idle)), _idle_half_width(idle)
    above_width = None
    if width is not None and idle_width is not None:
        above_width = math.hypot(width, 1000 * idle_width * seconds_an_image)
    return Energy(
        rails=rails,
        idle_watts=idle_watts,
        watts=float(np.mean([one.watts for one in load.power])),
        mj_per_image=whole,
        above_idle_mj=whole - 1000 * idle_watts * seconds_an_image,
        half_width_mj=width,
        above_idle_half_width_mj=above_width,
    )


def _mj_per_image(load: Load, number: int, parts: int) -> float | None:
    start, end = (load.seconds * edge / parts for edge in (number, number + 1))
    watts = [one.watts for one in load.power if start <= one.at_s < end]
    images = len(part(load, number, parts)) * load.batch
    return 1000 * float(np.mean(watts)) * (end - start) / images if watts and images else None


def _idle_half_width(watts: Sequence[float]) -> float | None:
    if len(watts) < BATCHES * FEWEST_SAMPLES:
        return None
    return _half_width([float(np.mean(batch)) for batch in np.array_split(watts, BATCHES)])


def _half_width(batches: Sequence[float | None]) -> float | None:
    known = [one for one in batches if one is not None]
    if len(known) < BATCHES:
        return None
    return T_OF_BATCHES * float(np.std(known, ddof=1)) / math.sqrt(BATCHES)
