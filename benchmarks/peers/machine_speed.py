"""Measures the machine's limits: multiply-accumulates a second, and the time of a signal between cores."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from targets.runtime.zig import run_zig


@contextmanager
def machine_programs() -> Iterator[Path]:
    """Compile what measures the machine: the int8 peak of a core, and signals between two."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("peak", "signal"):
            options = ["-O2", "-mcpu=native", "-pthread", "-fno-sanitize=all"]
            done = run_zig(options, [Path(__file__).with_name(f"{name}.c")], Path(scratch) / name)
            if done.returncode:
                raise RuntimeError(done.stderr)
        yield Path(scratch)


def peak_gmacs(programs: Path, cores: int) -> float:
    """Measure the int8 peak of `cores` cores at work together."""
    places = sorted(os.sched_getaffinity(0))[:cores]
    commands = [["taskset", "-c", str(place), str(programs / "peak")] for place in places]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    return sum(float(process.communicate()[0]) for process in running)


def signal_ns(programs: Path) -> float:
    """Measure how long a signal takes between the first two cores."""
    places = sorted(os.sched_getaffinity(0))[:2]
    done = subprocess.run([programs / "signal", *map(str, places)], capture_output=True, check=True)
    return float(done.stdout)
