"""Simulates the time of many builds on workers and boards, and what limits it. The result never varies.

    python -m benchmarks.farm_simulation [--workers 100] [--boards 8] [--builds 1000]

A build is a chain of stages on one worker, units of a validation on any workers, a measurement that has a
board for itself, and a report. A free worker or board takes the oldest work that is ready. The scheduler
hands out one unit at a time. No machine fails; files take no time.

The times are those of one validation of the embedded ResNet-20 on 3,072 images, seconds on an AMD EPYC Zen 4
with 15 other processes on its two cores (2026-11-28): on an idle machine all of them are shorter. What the
program says about limits depends on their ratios.
"""

import argparse
import heapq
from dataclasses import dataclass

CHAIN_S = 7.4 + 1.7 + 1.7 + 1.1
"""Export, calibrate, quantize and compile."""
UNIT_S = 8.8
"""1,024 images through FP32 and INT8."""
MEASURE_S = 9.7
REPORT_S = 3.4 + 1.2
UNITS = 10
"""Of a validation on 10,000 images."""
HAND_OUT_S = 0.002
"""Seconds in which the scheduler hands out one unit, and does nothing else."""


@dataclass
class Farm:
    """Free workers and boards, and the work that waits for them. Times are seconds since the start."""

    workers: int
    boards: int

    def __post_init__(self) -> None:
        self.ready: dict[str, list[tuple[int, str]]] = {"worker": [], "board": []}
        self.free = {"worker": self.workers, "board": self.boards}
        self.busy_s = {"worker": 0.0, "board": 0.0}
        self.handed_out_s = 0.0
        self.now = 0.0
        self._ends: list[tuple[float, int, str]] = []
        self._left: dict[int, int] = {}

    def run(self, builds: int) -> float:
        """Run the builds and return how long they took."""
        for build in range(builds):
            self._offer(build, "chain")
        self._start()
        while self._ends:
            self.now, build, kind = heapq.heappop(self._ends)
            self.free[needed(kind)] += 1
            self._follow(build, kind)
            self._start()
        return self.now

    def _follow(self, build: int, kind: str) -> None:
        match kind:
            case "chain":
                self._left[build] = UNITS + 1
                for _ in range(UNITS):
                    self._offer(build, "unit")
                self._offer(build, "measure")
            case "unit" | "measure":
                self._left[build] -= 1
                if not self._left[build]:
                    self._offer(build, "report")

    def _offer(self, build: int, kind: str) -> None:
        heapq.heappush(self.ready[needed(kind)], (build, kind))

    def _start(self) -> None:
        for who, waiting in self.ready.items():
            while waiting and self.free[who]:
                build, kind = heapq.heappop(waiting)
                self.free[who] -= 1
                self.handed_out_s = max(self.handed_out_s, self.now) + HAND_OUT_S
                self.busy_s[who] += TAKES_S[kind]
                heapq.heappush(self._ends, (self.handed_out_s + TAKES_S[kind], build, kind))


TAKES_S = {"chain": CHAIN_S, "unit": UNIT_S, "measure": MEASURE_S, "report": REPORT_S}


def needed(kind: str) -> str:
    """Return whether workers or boards do work of this kind."""
    return "board" if kind == "measure" else "worker"


def main() -> None:
    """Print what the farm takes, and for more and fewer boards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--boards", type=int, default=8)
    parser.add_argument("--builds", type=int, default=1000)
    asked = parser.parse_args()
    bounds = {
        "workers": asked.builds * (CHAIN_S + UNITS * UNIT_S + REPORT_S) / asked.workers,
        "boards": asked.builds * MEASURE_S / asked.boards,
        "scheduler": asked.builds * (UNITS + 3) * HAND_OUT_S,
        "one build alone": CHAIN_S + max(UNIT_S, MEASURE_S) + REPORT_S,
    }
    for workers, boards in ((1, 1), (asked.workers, asked.boards), (asked.workers, 4 * asked.boards)):
        farm = Farm(workers, boards)
        took = farm.run(asked.builds)
        print(
            f"{asked.builds} builds on {workers} workers and {boards} boards: {took:,.0f} s; busy:"
            f" workers {farm.busy_s['worker'] / took / workers:.0%}, boards"
            f" {farm.busy_s['board'] / took / boards:.0%}"
        )
    print(f"no less than, with {asked.workers} workers and {asked.boards} boards:")
    for what, seconds in sorted(bounds.items(), key=lambda one: -one[1]):
        print(f"  {seconds:8,.0f} s  {what}")


if __name__ == "__main__":
    main()
