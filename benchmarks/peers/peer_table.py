"""The table of `benchmarks.cpu_peers`: what was measured of each engine."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class PeerSeen:
    """What was measured of one engine: latencies and the CPU time of an inference, by round."""

    load_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    rounds_ms: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    rounds_cpu_ms: list[float] = field(default_factory=list)

    @property
    def median_ms(self) -> float:
        """The median latency."""
        return statistics.median(self.latencies_ms)

    @property
    def spread(self) -> float:
        """The middle half of the latencies, relative to the median."""
        low, high = np.quantile(self.latencies_ms, [0.25, 0.75])
        return float(high - low) / self.median_ms


def rows(seen: dict[str, PeerSeen], peak: float, gmacs: float) -> Iterator[str]:
    """Rows, the fastest peer first."""
    ours = seen["edgec"]
    yield (
        f"{'':<16} {'p50 ms':>8} {'spread':>7} {'CPU ms':>8} {'of peak':>8} {'x edgec (80 % of rounds)':>26} "
        f"{'CPU':>26} {'first ms':>9} {'load ms':>8}"
    )
    for name, one in sorted(seen.items(), key=lambda item: item[1].median_ms):
        ratio = "" if one is ours else _ratio(ours.rounds_ms, one.rounds_ms)
        cpu = "" if one is ours else _ratio(ours.rounds_cpu_ms, one.rounds_cpu_ms)
        share, cpu_ms = gmacs / one.median_ms * 1e3 / peak, statistics.median(one.rounds_cpu_ms)
        yield (
            f"{name:<16} {one.median_ms:>8.3f} {one.spread:>7.1%} {cpu_ms:>8.3f} "
            f"{share:>8.1%} {ratio:>26} {cpu:>26} {statistics.median(one.first_ms):>9.3f} "
            f"{statistics.median(one.load_ms):>8.2f}"
        )


def _ratio(ours: Sequence[float], others: Sequence[float]) -> str:
    ratios = [a / b for a, b in zip(ours, others, strict=True)]
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    return f"{middle:.3f} ({low:.3f} - {high:.3f})"
