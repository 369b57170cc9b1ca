"""A cluster whose worker, scheduler or command is killed at random moments: always the bytes of one process.

    python -m benchmarks.killed_workers [--rounds 100] [--seed 0]

Each round validates a tiny network on 320 images as `edgec validate --on tcp://...` does, by a Dask scheduler
and two workers. The images are cut at random into units of 32 or 64, the 48 calibration images into parts of
4 to 24. Up to eight times a round one of the four processes is killed (SIGKILL), a random moment after the
last; what is missing is started again, and so is the command unless it has ended well. The processes are
forked from one that has their imports done. Prints how often which of them was killed before the end, how
many finished units were done again, and how often ranges.json or accuracy.json differed from those of one
process; exit code 1 if any did.
"""

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.finished_products import finished
from benchmarks.forked_cluster import WORKERS, ForkedCluster, end
from benchmarks.rounds import rounds_and_seed
from benchmarks.tiny_network import write_tiny_network
from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.data.embedded import EMBEDDED
from pipeline.progress import Silent
from pipeline.stages import answer, observe_part
from pipeline.units.open_workers import open_workers

IMAGES, CALIBRATION = 320, 48
UNIT, PARTS = 32, (4, 24)
LONGEST_DELAY = 1.5
"""Seconds between two kills, at most: about what a round takes."""
KILLS = 8
"""The most kills in a round."""
VICTIMS = (*WORKERS, "scheduler", "command")
FILES = {"calibrate": "ranges.json", "validate": "accuracy.json"}
"""What is compared, by the stage that writes it."""
UNITS = ("observe", "answer")
PATIENCE_S = 120.0
"""A command that has not ended so long after the last kill hangs."""


@dataclass(frozen=True)
class UnitSizes:
    """Images in a unit of a validation, and in a part of a calibration."""

    unit: int
    part: int

    @classmethod
    def drawn(cls, draw: np.random.Generator) -> "UnitSizes":
        """Return a random one; a unit is a multiple of the batch size."""
        return cls(UNIT * int(draw.integers(1, 3)), int(draw.integers(PARTS[0], PARTS[1] + 1)))


WHOLE = UnitSizes(1024, 256)


@dataclass
class KillTally:
    """What was tried, and what came of it."""

    killed: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    repeated: int = 0
    different: int = 0


def validate(model: Path, out: Path, cut: UnitSizes, address: str = "") -> None:
    """Validate as the command does; without an address in this process."""
    answer.UNIT_IMAGES, observe_part.PART_IMAGES = cut.unit, cut.part
    asked = {"model": str(model), "target": "reference", "validation.images": IMAGES}
    asked |= {"calibration.images": CALIBRATION, "data": EMBEDDED, "out": out}
    with open_workers(address or None) as workers:
        _ = Build(load_config(BuildConfig, None, asked), Silent(), workers).accuracy


def results_in(out: Path) -> dict[str, bytes]:
    """Return the files that are compared, from a store."""
    found = {}
    for stage, name in FILES.items():
        (place,) = out.glob(f"store/products/{stage}/*/{name}")
        found[name] = place.read_bytes()
    return found


def kill_at_random(
    cluster: ForkedCluster,
    work: Callable[[str], None],
    out: Path,
    draw: np.random.Generator,
    tally: KillTally,
) -> dict[Path, int]:
    """Kill until the command ends well, and let it end at last. Returns when each unit was first seen."""
    seen: dict[Path, int] = {}
    command = cluster.command(work)
    for _ in range(int(draw.integers(1, KILLS + 1))):
        victim = str(draw.choice(VICTIMS))
        command.join(draw.uniform(0, LONGEST_DELAY))
        tally.killed[victim] += command.is_alive()
        if command.exitcode == 0:
            return seen
        seen = finished(out, UNITS) | seen
        if victim != "command":
            cluster.kill(victim)
        if victim in ("command", "scheduler"):
            end(command)  # without a scheduler it would say so itself, after half a minute
        cluster.restore()
        if not command.is_alive():
            command = cluster.command(work)
    limit = time.monotonic() + PATIENCE_S
    while command.exitcode != 0:
        if time.monotonic() > limit:
            raise RuntimeError(f"the command hangs or fails:\n{cluster.said.read_text()[-5000:]}")
        cluster.restore()  # workers end too, some time after their scheduler
        if not command.is_alive():
            command = cluster.command(work)
        command.join(0.2)
    return seen


def trial(
    cluster: ForkedCluster, model: Path, out: Path, draw: np.random.Generator, tally: KillTally
) -> None:
    """Validate once under kills."""
    cluster.restore()
    cut = UnitSizes.drawn(draw)
    seen = kill_at_random(cluster, lambda address: validate(model, out, cut, address), out, draw, tally)
    after = finished(out, UNITS)
    tally.repeated += sum(after[path] != written for path, written in seen.items())
    tally.rounds += 1


def trials(rounds: int, seed: int) -> KillTally:
    """Run the rounds and return the tally."""
    os.environ["OMP_NUM_THREADS"] = "1"
    tally, draw = KillTally(), np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="edgec-killed-", ignore_cleanup_errors=True) as folder:
        model, alone = write_tiny_network(Path(folder)), Path(folder) / "alone"
        validate(model, alone, WHOLE)  # here: what is forked then has all that is imported for it
        wanted = results_in(alone)
        with ForkedCluster(Path(folder)) as cluster:
            for number in range(rounds):
                out = shutil.copytree(alone, Path(folder) / f"out{number}", copy_function=shutil.copy2)
                for stage in (*FILES, *UNITS):
                    shutil.rmtree(out / "store" / "products" / stage, ignore_errors=True)
                trial(cluster, model, out, draw, tally)
                tally.different += results_in(out) != wanted
                shutil.rmtree(out, ignore_errors=True)  # a worker may still write what nobody waits for
                print(tally, flush=True)
    return tally


def main() -> int:
    """Print what came of the rounds."""
    tally = trials(*rounds_and_seed(__doc__))
    killed = ", ".join(f"{number} of the {name}" for name, number in sorted(tally.killed.items()))
    print(
        f"{tally.rounds} validations, kills before the end: {killed}; {tally.repeated} finished units were"
        f" repeated, {tally.different} results differ from those of one process"
    )
    return 1 if tally.different or tally.repeated else 0


if __name__ == "__main__":
    sys.exit(main())
