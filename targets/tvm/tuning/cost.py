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

_RUNS = (1, 3)


class Cost(Protocol):
    """A way to compare candidates. Lower is better."""

    @property
    def unit(self) -> str:
        """The unit of the costs."""
        ...

    def __call__(self, program: Path, kernels: Sequence[int]) -> NDArray[np.float64]:
        """Measure these kernels of a harness: [kernels, rounds], each round in turns. Raises EngineError."""
        ...


@dataclass(frozen=True)
class TimedHere:
    """Nanoseconds on this machine."""

    milliseconds: int
    unit: str = "ns"

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

    def __call__(self, program: Path, kernels: Sequence[int]) -> NDArray[np.float64]:
        """Count each kernel, in one round."""
        with tempfile.TemporaryDirectory(prefix="edgec-count-") as folder:
            plugin = Path(folder) / "count.so"
            build_plugin(plugin)
            return np.array([[self._count(program, plugin, which)] for which in kernels])

    def _count(self, program: Path, plugin: Path, which: int) -> float:
        commands = [[str(program), "run", str(which), str(runs)] for runs in _RUNS]
        few, many = (count_executed(self.cpu, plugin, command)[0] for command in commands)
        return (many - few) / (_RUNS[1] - _RUNS[0])


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
