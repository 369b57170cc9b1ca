"""What adapters add to libedgec's own time, as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.overhead.timed_adapter import FrameTimes


@dataclass(frozen=True)
class Round:
    """An adapter's frames, and for each of them the processor time that it adds to edgec_run_frame's."""

    frames: FrameTimes
    processor: float
    own_processor: float


def added(more: NDArray[np.float64], own: NDArray[np.float64]) -> str:
    """Return a median with its quartiles in microseconds, and what part of the own time's median it is."""
    low, middle, high = np.percentile(more, (25, 50, 75))
    return f"{middle * 1e6:.0f} us [{low * 1e6:.0f}, {high * 1e6:.0f}], {middle / np.median(own):.1%}"


def overhead_table(found: Mapping[str, Sequence[Round]]) -> str:
    """Return a table in Markdown: medians of all frames, and of the rounds' processor time."""
    lines = [
        "| | edgec_run_frame, ms | added by the clock | its processor time, ms | added processor time |",
        "|---|---|---|---|---|",
    ]
    for name, rounds in found.items():
        seen, own = np.array([frame for one in rounds for frame in one.frames]).T
        more, runs = np.array([(one.processor, one.own_processor) for one in rounds]).T
        clock = f"{np.median(own) * 1e3:.3f} | {added(seen - own, own)}"
        lines.append(f"| {name} | {clock} | {np.median(runs) * 1e3:.3f} | {added(more, runs)} |")
    return "\n".join(lines)
