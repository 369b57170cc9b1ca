"""The cost of a candidate: time on a machine that can be reached, or instructions in the emulator."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from targets.errors import EngineError
from targets.reach.instructions import build_plugin, count_executed
from targets.reach.ssh import SshAddress, SshDevice

_TIMES = 8
"""How often a number of instructions is counted until two counts are equal."""


class Cost(Protocol):
    """A way to compare candidates. Lower is better."""

    @property
    def unit(self) -> str:
        """The unit of the costs."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether a second measurement gives the same."""
        ...

    def __call__(self, program: Path, kernels: Sequence[int]) -> NDArray[np.float64]:
        """Measure these kernels of a harness: [kernels, rounds], each round in turns. Raises EngineError."""
        ...


@dataclass(frozen=True)
class TimedHere:
    """Nanoseconds on this machine."""

    milliseconds: int
    unit: str = "ns"
    is_exact: bool = False

    def __call__(self, program: Path, kernels: Sequence[int]) -> NDArray[np.float64]:
        """Time the kernels in turns."""
        command = [str(program), "time", str(self.milliseconds), *map(str, kernels)]
        return _numbers(subprocess.run(command, capture_output=True, check=True).stdout, len(kernels))


@dataclass(frozen=True)
class TimedOnDevice:
    """Nanoseconds on a board."""

    address: SshAddress
    milliseconds: int
    unit: str = "ns"
    is_exact: bool = False

    def __call__(self, program: Path, kernels: Sequence[int]) -> NDArray[np.float64]:
        """Copy the program there, time the kernels in turns, and remove it."""
        device, there = SshDevice(self.address), f"/tmp/{program.parent.name}.run"  # noqa: S108 -- any board has it
        device.send(program, there)
        try:
            device.read(["chmod", "+x", there])
            command = [there, "time", str(self.milliseconds), *map(str, kernels)]
            return _numbers(device.read(command), len(kernels))
        finally:
            device.run(["rm", "-f", there])


@dataclass(frozen=True)
class Counted:
    """Instructions in the emulator: exact, and the same everywhere."""

    cpu: str
    unit: str = "instructions"
    is_exact: bool = True

    def __call__(self, program: Path, kernels: Sequence[int]) -> NDArray[np.float64]:
        """Count each kernel, in one round."""
        with tempfile.TemporaryDirectory(prefix="edgec-count-") as folder:
            plugin = Path(folder) / "count.so"
            build_plugin(plugin)
            return np.array([[self._count(program, plugin, which)] for which in kernels])

    def _count(self, program: Path, plugin: Path, which: int) -> float:
        """Return the instructions of one run: those of the program with one run less those without."""
        without, one = (self._agreed(plugin, [str(program), "run", str(which), str(runs)]) for runs in (0, 1))
        return float(one - without)

    def _agreed(self, plugin: Path, command: Sequence[str]) -> int:
        """Return a number that two counts gave: an emulator that is stopped repeats a system call.

        Raises EngineError if no two of _TIMES agree.
        """
        seen: set[int] = set()
        for _ in range(_TIMES):
            count = count_executed(self.cpu, plugin, command)[0]
            if count in seen:
                return count
            seen.add(count)
        raise EngineError(f"{_TIMES} counts of the same instructions all differ: {sorted(seen)}.")


def _numbers(text: bytes, count: int) -> NDArray[np.float64]:
    try:
        rounds = [[float(number) for number in line.split()] for line in text.splitlines()]
    except ValueError as error:
        raise EngineError(f"The times of candidates are not numbers: {error}.") from error
    if len(rounds) != count or len({len(line) for line in rounds}) != 1:
        raise EngineError(f"{len(rounds)} candidates were measured, not {count} in equally many rounds.")
    found = np.array(rounds)
    if not (np.isfinite(found) & (found > 0)).all():
        raise EngineError("A candidate takes no time, or one that is not a number.")
    return found
