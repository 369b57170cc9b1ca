"""Validations that several machines share, killed at random moments: always the bytes of one machine.

    python -m benchmarks.shares [--rounds 100] [--seed 0]

The embedded network is validated on 320 images, once in a single piece. Each round then cuts the validation
into a random number of shares. Every share runs in a process and a folder of its own, is killed (SIGKILL) at
random moments, and is started again until it is done. The parts are merged in a random order. Prints how many
shares ran, how many were killed, and how often accuracy.json differed; exit code 1 if it ever did.
"""

import multiprocessing
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.rounds import rounds_and_seed
from pipeline.build.parts import read_parts, refuse_foreign, take_in, write_part
from pipeline.build.plan import Build
from pipeline.build.shard import Shard
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.stages import answer

IMAGES, UNIT = 320, 32
LONGEST_DELAY = 3.0
"""Seconds until a kill, at most: about what a share takes on a slow machine."""
KILLS = 2
"""The most kills for each share; the last try may finish."""
FORK = multiprocessing.get_context("fork")


@dataclass
class Tally:
    """What was tried, and what came of it."""

    shares: int = 0
    kills: int = 0
    merged: int = 0
    different: int = 0


def opened(out: Path) -> Build:
    """Return the build that all machines share."""
    settings = {"target": "reference", "validation.images": IMAGES, "calibration.images": 16, "out": out}
    return Build(load_config(BuildConfig, None, settings), Silent())


def opened_engine(out: Path) -> None:
    """Make everything up to the engine."""
    _ = opened(out).engine


def validate_whole(out: Path) -> None:
    """Validate in one piece."""
    _ = opened(out).accuracy


def apart(work: Callable[[Path], None], out: Path) -> None:
    """Do this in a process of its own: one that forks must have no threads."""
    worker = FORK.Process(target=work, args=(out,))
    worker.start()
    worker.join()
    if worker.exitcode:
        raise RuntimeError(f"{work.__name__} ended with {worker.exitcode}")


def accuracy_in(out: Path) -> bytes:
    """Return the accuracy.json that a store holds."""
    (kept,) = out.glob("store/products/validate/*/accuracy.json")
    return kept.read_bytes()


def write_share(out: Path, shard: Shard, part: Path) -> None:
    """Validate one share and write it; what an earlier, killed try finished is not done again."""
    one = opened(out)
    units = one.compute(shard)
    write_part(part, one.name, shard, [unit.key() for unit in units], one.used)


def run_share(out: Path, shard: Shard, part: Path, draw: np.random.Generator, tally: Tally) -> None:
    """Run a share in a process of its own until its part is there, killing the first tries at random."""
    tally.shares += 1
    for kills_left in range(KILLS, -1, -1):
        worker = FORK.Process(target=write_share, args=(out, shard, part))
        worker.start()
        worker.join(draw.uniform(0, LONGEST_DELAY) if kills_left else None)
        if worker.is_alive():
            worker.kill()
            worker.join()
            tally.kills += 1
        if part.exists():
            return
    raise RuntimeError(f"share {shard} was not written, although its last try was left alone")


def trial(whole: Path, wanted: bytes, work: Path, draw: np.random.Generator, tally: Tally) -> None:
    """Cut, run, kill and merge once."""
    of = int(draw.integers(1, IMAGES // UNIT + 1))
    parts = [work / f"part{number}" for number in range(1, of + 1)]
    for number, part in enumerate(parts, 1):
        machine = shutil.copytree(whole, work / f"machine{number}", copy_function=shutil.copy2)
        run_share(machine, Shard(number, of), part, draw, tally)
    found = read_parts([parts[place] for place in draw.permutation(of)])
    merged = opened(work / "merged")
    take_in(found, merged.store, merged.progress)
    refuse_foreign(found, [unit.key() for unit in merged.all_units])
    apart(validate_whole, work / "merged")
    tally.merged += 1
    tally.different += accuracy_in(work / "merged") != wanted


def trials(rounds: int, seed: int) -> Tally:
    """Run the rounds and return the tally."""
    answer.UNIT_IMAGES = UNIT
    tally, draw = Tally(), np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="edgec-shares-") as folder:
        started, alone = Path(folder) / "started", Path(folder) / "alone"
        apart(opened_engine, started)
        shutil.copytree(started, alone, copy_function=shutil.copy2)
        apart(validate_whole, alone)
        wanted = accuracy_in(alone)
        for number in range(rounds):
            with tempfile.TemporaryDirectory(prefix=f"round{number}-", dir=folder) as work:
                trial(started, wanted, Path(work), draw, tally)
    return tally


def main() -> int:
    """Print what came of the rounds."""
    tally = trials(*rounds_and_seed(__doc__))
    print(
        f"{tally.merged} validations of {IMAGES} images in {tally.shares} shares, {tally.kills} kills:"
        f" {tally.different} differ from that of one machine"
    )
    return 1 if tally.different else 0


if __name__ == "__main__":
    sys.exit(main())
