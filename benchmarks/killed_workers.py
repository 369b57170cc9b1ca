"""A cluster whose worker, scheduler or client is killed at a random moment: always the bytes of one process.

    python -m benchmarks.killed_workers [--rounds 100] [--seed 0]

Each round starts a Dask scheduler and two workers as a user does, and `edgec validate --on tcp://...` on 320
images of the embedded network, in units of 32. At a random moment one of the four processes is killed
(SIGKILL); what is missing is started again, and so is the command unless it has ended well. Prints how often
which of them was killed before the end, how many units that were finished were done again, and how often
ranges.json or accuracy.json differed from those of one process; exit code 1 if any did.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.cache.code_at_start import ROOT
from pipeline.cache.product import MANIFEST

IMAGES, UNIT, PART = 320, 32, 32
LONGEST_DELAY = 6.0
"""Seconds until a kill, at most: about what a round takes."""
CLIENT = f"""
import sys
from pathlib import Path
from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.stages import answer, observe_part
from pipeline.units.open_workers import open_workers
answer.UNIT_IMAGES, observe_part.PART_IMAGES = {UNIT}, {PART}
asked = {{"target": "reference", "validation.images": {IMAGES}, "calibration.images": 96}}
asked["out"] = Path(sys.argv[1])
with open_workers(sys.argv[2] or None) as workers:
    Build(load_config(BuildConfig, None, asked), Silent(), workers).accuracy
"""
VICTIMS = ("worker", "scheduler", "client")


@dataclass
class KillTally:
    """What was tried, and what came of it."""

    killed: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    repeated: int = 0
    different: int = 0


class Cluster:
    """A scheduler, two workers and a command, each a process group of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self._folder = folder
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def restore(self) -> None:
        """Start what does not run."""
        port = self.address.rpartition(":")[2]
        commands = {
            "scheduler": ["scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"],
            **{f"worker{i}": ["worker", self.address, "--nthreads", "1", "--no-dashboard"] for i in (1, 2)},
        }
        for name, arguments in commands.items():
            if name not in self._started or self._started[name].poll() is not None:
                self._started[name] = started(["-m", "dask", *arguments], self._folder)

    def kill(self, victim: str) -> None:
        """Kill the scheduler or a worker."""
        end(self._started["scheduler" if victim == "scheduler" else "worker1"])

    def command(self, out: Path) -> "subprocess.Popen[bytes]":
        """Start the command, unless it runs or has ended well."""
        if "client" not in self._started or self._started["client"].poll():
            self._started["client"] = started(["-c", CLIENT, str(out), self.address], self._folder)
        return self._started["client"]

    def __enter__(self) -> "Cluster":
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started.values():
            end(process)


def environment() -> dict[str, str]:
    """Return the environment of all that is started."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def started(arguments: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    """Start Python with these arguments, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def results_in(out: Path) -> tuple[bytes, bytes]:
    """Return the ranges.json and accuracy.json that a store holds."""
    (ranges,) = out.glob("store/products/calibrate/*/ranges.json")
    (accuracy,) = out.glob("store/products/validate/*/accuracy.json")
    return ranges.read_bytes(), accuracy.read_bytes()


def finished_units(out: Path) -> dict[Path, int]:
    """Return the units that a store holds, and when each was written, in ns."""
    found = (path for stage in ("answer", "observe") for path in out.glob(f"store/products/{stage}/*"))
    return {path: (path / MANIFEST).stat().st_mtime_ns for path in found}


def trial(out: Path, work: Path, draw: np.random.Generator, tally: KillTally) -> None:
    """Kill one of the processes, start everything again, and let it end."""
    victim = str(draw.choice(VICTIMS))
    with Cluster(work) as cluster:
        client = cluster.command(out)
        time.sleep(draw.uniform(0, LONGEST_DELAY))
        if client.poll() is None:
            tally.killed[victim] += 1
        finished = finished_units(out)
        if victim == "client":
            end(client)
        else:
            cluster.kill(victim)
        if victim == "scheduler":
            end(client)  # it would say so itself, after half a minute
        while client.poll() != 0:
            cluster.restore()  # workers end too, some time after their scheduler
            client = cluster.command(out)
            time.sleep(0.2)
        after = finished_units(out)
    tally.repeated += sum(after[path] != written for path, written in finished.items())
    tally.rounds += 1


def trials(rounds: int, seed: int) -> KillTally:
    """Run so many rounds and return what came of them."""
    tally, draw = KillTally(), np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="edgec-killed-") as folder:
        alone = Path(folder) / "alone"
        subprocess.run(
            [sys.executable, "-c", CLIENT, str(alone), ""], check=True, cwd=folder, env=environment()
        )
        wanted = results_in(alone)
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="round-", dir=folder) as work:
                out = shutil.copytree(alone, Path(work) / "out", copy_function=shutil.copy2)
                for stage in ("calibrate", "observe", "answer", "validate"):
                    shutil.rmtree(out / "store" / "products" / stage, ignore_errors=True)
                trial(out, Path(work), draw, tally)
                tally.different += results_in(out) != wanted
            print(tally, flush=True)
    return tally


def main() -> int:
    """Print what came of the rounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds is 1 or more")
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM")
    )  # all that runs is ended on the way
    tally = trials(chosen.rounds, chosen.seed)
    killed = ", ".join(f"{number} of the {name}" for name, number in sorted(tally.killed.items()))
    print(
        f"{tally.rounds} validations, kills before the end: {killed}; {tally.repeated} finished units were"
        f" repeated, {tally.different} results differ from those of one process"
    )
    return 1 if tally.different or tally.repeated else 0


if __name__ == "__main__":
    sys.exit(main())
