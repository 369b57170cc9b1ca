"""The cost of a candidate: time on a machine that can be reached, or instructions in the emulator."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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

    def __call__(self, program: Path, count: int) -> list[float]:
        """Measure each of the `count` kernels of a harness. Raises EngineError."""
        ...


@dataclass(frozen=True)
class TimedHere:
    """Nanoseconds on this machine."""

    milliseconds: int
    unit: str = "ns"

    def __call__(self, program: Path, count: int) -> list[float]:
        """Time all kernels in turns."""
        command = [str(program), "time", str(self.milliseconds)]
        return _numbers(subprocess.run(command, capture_output=True, check=True).stdout, count)


@dataclass(frozen=True)
class TimedOnDevice:
    """Nanoseconds on a board."""

    address: SshAddress
    milliseconds: int
    unit: str = "ns"

    def __call__(self, program: Path, count: int) -> list[float]:
        """Copy the program there, time all kernels in turns, and remove it."""
        device, there = SshDevice(self.address), f"/tmp/{program.parent.name}.run"  # noqa: S108 -- any board has it
        device.send(program, there)
        try:
            device.read(["chmod", "+x", there])
            return _numbers(device.read([there, "time", str(self.milliseconds)]), count)
        finally:
            device.run(["rm", "-f", there])


@dataclass(frozen=True)
class Counted:
    """Instructions in the emulator: exact, and the same everywhere."""

    cpu: str
    unit: str = "instructions"

    def __call__(self, program: Path, count: int) -> list[float]:
        """Count each kernel."""
        with tempfile.TemporaryDirectory(prefix="edgec-count-") as folder:
            plugin = Path(folder) / "count.so"
            build_plugin(plugin)
            return [self._count(program, plugin, which) for which in range(count)]

    def _count(self, program: Path, plugin: Path, which: int) -> float:
        commands = [[str(program), "run", str(which), str(runs)] for runs in _RUNS]
        few, many = (count_executed(self.cpu, plugin, command)[0] for command in commands)
        return (many - few) / (_RUNS[1] - _RUNS[0])


def _numbers(text: bytes, count: int) -> list[float]:
    found = [float(line) for line in text.split()]
    if len(found) != count:
        raise EngineError(f"The candidates were measured {len(found)} times, not {count} times.")
    return found
