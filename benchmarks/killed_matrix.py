"""A matrix whose every process is killed at random moments, and resumed: always the bundles of one machine.

    python -m benchmarks.killed_matrix MATRIX.toml [--kills 6] [--longest 60] [--on local:2] [--seed 0]
                                       [--out FOLDER]

Builds the matrix once without workers and without a kill. Then builds it with workers in a folder of its own;
the command, the scheduler and all workers are killed at once (SIGKILL), up to `--longest` seconds after each
start, before it may end. Prints how many rows there are, how many products were finished at each kill, how
many of them were made again, and how many bundles differ. Exit code 1 if any did, or if a row has no result.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.finished_products import finished
from pipeline.report.model.matrix_report import MatrixReport

KILL_WAIT_S = 60


def command(matrix: Path, out: Path, on: str | None) -> list[str]:
    """Return the command that builds a matrix."""
    shared = ["--on", on] if on else []
    return [sys.executable, "-m", "pipeline", "matrix", str(matrix), "--out", str(out), *shared]


def killed_after(seconds: float, words: Sequence[str]) -> bool:
    """Start a command, and kill it with all that it started. Returns False if it had ended before."""
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    ) as one:
        try:
            one.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait(KILL_WAIT_S)
            return True
    return False


def whole(words: Sequence[str]) -> None:
    """Run a command to its end. Raises RuntimeError unless it made all rows: a gate may fail."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 5):
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr[-4000:]}")


def different_bundles(one: Path, other: Path) -> list[str]:
    """Return the names of bundles that differ, or that only one of two folders has."""
    names = sorted({path.name for out in (one, other) for path in out.glob("*.edgec")})
    return [name for name in names if _bytes(one / name) != _bytes(other / name)]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def trial(matrix: Path, folder: Path, kills: int, longest: float, on: str, seed: int) -> int:
    """Print what came of it, and return how much went wrong."""
    draw = np.random.default_rng(seed)
    alone, shared = folder / "alone", folder / "shared"
    whole(command(matrix, alone, None))
    seen: dict[Path, int] = {}
    for number in range(1, kills + 1):
        if not killed_after(draw.uniform(0, longest), command(matrix, shared, on)):
            print(f"it ended before kill {number}", flush=True)
            break
        seen = finished(shared) | seen
        print(f"kill {number}: {len(seen)} products were finished", flush=True)
    whole(command(matrix, shared, on))
    after = finished(shared)
    repeated = [str(path) for path, written in seen.items() if after.get(path) != written]
    report = MatrixReport.model_validate_json((shared / f"{matrix.stem}.json").read_text())
    without = [row.name for row in report.rows if row.state != "finished"]
    differ = different_bundles(alone, shared)
    bundles = len(list(shared.glob("*.edgec")))
    print(
        f"{len(report.rows)} rows, {bundles} bundles, {len(after)} products; {len(repeated)} finished"
        f" products were made again, {len(differ)} bundles differ, {len(without)} rows have no result"
    )
    for name in (*repeated, *differ, *without):
        print(f"  {name}")
    return len(repeated) + len(differ) + len(without)


def main() -> int:
    """Read the command line and run the trial."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("matrix", type=Path)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--longest", type=float, default=60.0)
    parser.add_argument("--on", default="local:2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    folder = chosen.out or Path(tempfile.mkdtemp(prefix="edgec-killed-matrix-"))
    try:
        wrong = trial(chosen.matrix, folder, chosen.kills, chosen.longest, chosen.on, chosen.seed)
    finally:
        if chosen.out is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
