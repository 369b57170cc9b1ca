"""Rows of calibration methods, and the table that `calibration_methods` prints of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """One method on one network with one draw of calibration images. Shares are in [0, 1].

    key: the digest of all that the row depends on. problem: why there is no result.
    """

    key: str
    network: str
    images: int
    seed: int
    evaluated: int
    method: str
    problem: str | None = None
    float_top1: float | None = None
    top1: float | None = None
    agreement: float | None = None
    sqnr_db: float | None = None
    processor_s: float | None = None


def table(rows: Sequence[MethodRow]) -> str:
    """Mean over the seeds, with the smallest and the largest, for each network and method in Markdown."""
    lines = [
        "| network | method | seeds | top-1 % | agreement % | SQNR dB | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for network, method in dict.fromkeys((row.network, row.method) for row in rows):
        same = [row for row in rows if (row.network, row.method) == (network, method)]
        good = [row for row in same if row.agreement is not None]
        if not good:
            lines.append(f"| {network} | `{method}` | {len(same)} | {same[0].problem} | | | |")
            continue
        top1, agreement, seconds = (
            [factor * (getattr(row, name) or 0.0) for row in good]
            for name, factor in (("top1", 100), ("agreement", 100), ("processor_s", 1))
        )
        sqnr = [row.sqnr_db or 0.0 for row in good]
        numbers = (
            f"{_spread(top1, 2)} | {_spread(agreement, 2)} | {_spread(sqnr, 1)} | {np.mean(seconds):.0f}"
        )
        lines.append(f"| {network} | `{method}` | {len(good)} | {numbers} |")
    return "\n".join(lines)


def _spread(values: Sequence[float], digits: int) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"
