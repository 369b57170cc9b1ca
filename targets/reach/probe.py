"""Asks a device for its hardware and software, in one connection."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from targets.errors import DeviceError
from targets.processor import LIMIT
from targets.reach.answers import checked, json_answer, sensible
from targets.reach.sent_files import sent
from targets.reach.ssh import SshDevice
from targets.reach.zip_program import program
from targets.runtime.board_check import BoardFinding
from targets.runtime.cpu import MACHINES, NEEDED

PYTHON = (3, 8)
"""The oldest Python that the runtime supports."""

_FACTS = """
import json, os, platform, shutil, sys
def version(name):
    try:
        return str(__import__(name).__version__)
    except Exception:
        return None
def text(path):
    try:
        with open(path) as file:
            return file.read().strip("\\0\\n ")
    except (IOError, OSError):
        return ""
cpu = text("/proc/cpuinfo")
def values_of(*keys):
    return [line.split(":", 1)[1].strip() for line in cpu.splitlines() if line.split(":")[0].strip() in keys]
disk = os.statvfs(os.path.expanduser("~"))
memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
print(json.dumps(dict(
    python=list(sys.version_info[:3]), machine=platform.machine(), system=platform.platform(),
    board=text("/proc/device-tree/model") or (values_of("model name", "Model") or [""])[0],
    cpu_parts=sorted(set(values_of("CPU part"))),
    cpu_flags=sorted(set(" ".join(values_of("flags", "Features")).split())),
    cores=len(os.sched_getaffinity(0)), memory_bytes=memory, free_bytes=disk.f_bavail * disk.f_frsize,
    numpy=version("numpy"), opencv=version("cv2"), onnxruntime=version("onnxruntime"),
)))
"""


@dataclass(frozen=True)
class BoardFacts:
    """Facts that a device reports. numpy, opencv and onnxruntime are versions, or None if not installed."""

    python: tuple[int, ...]
    machine: str
    system: str
    board: str
    cpu_parts: tuple[str, ...]
    cpu_flags: frozenset[str]
    cores: int
    memory_bytes: int
    free_bytes: int
    numpy: str | None
    opencv: str | None
    onnxruntime: str | None = None

    @property
    def identity(self) -> str:
        """The facts that can change an engine's latency, for fingerprints."""
        return f"{self.board} ({self.machine} {' '.join(self.cpu_parts)}, {self.cores} cores) / {self.system}"

    def missing(self, opencv: bool = True) -> list[str]:
        """Return what the device lacks for the runtime, and how to install it; the demo needs OpenCV."""
        lacks = []
        if self.python < PYTHON:
            lacks.append(f"Python {'.'.join(map(str, self.python))} is too old: 3.8 or later is needed")
        if self.numpy is None:
            lacks.append("NumPy is missing: apt install python3-numpy")
        if opencv and self.opencv is None:
            lacks.append("OpenCV is missing: apt install python3-opencv")
        return lacks

    def misfit(self, isa: str, target: str) -> list[str]:
        """Return why the processor cannot run engines of an instruction set, which are those of `target`."""
        wanted = MACHINES.get(isa, "aarch64")
        needed = NEEDED[isa] - self.cpu_flags
        if self.machine != wanted:
            return [f"it is {self.machine}, and engines for {target} are for {wanted}"]
        if needed:
            flags = " and ".join(sorted(needed))
            mend = "build --target arm" if wanted == "aarch64" else f"build with {LIMIT}=avx2"
            return [f"its processor has no {flags}, which engines for {target} use; {mend}"]
        return []


def check_board(device: SshDevice) -> list[BoardFinding]:
    """Return what a device has and lacks, with the commands that mend it. Raises as `probe`."""
    with tempfile.TemporaryDirectory(prefix="edgec-check-") as scratch:
        file = Path(scratch) / "check.pyz"
        file.write_bytes(program("board_check"))
        there = sent(device, file)
    with sensible(device.address, "what it has"):
        return checked(list[BoardFinding], json_answer(_answer(device, [there])))


def probe(device: SshDevice) -> BoardFacts:
    """Return the facts of a device. Raises a DeviceError if it cannot be reached or has no Python."""
    with sensible(device.address, "what it is"):
        return checked(BoardFacts, json_answer(_answer(device, ["-c", _FACTS])))


def _answer(device: SshDevice, arguments: list[str]) -> str:
    """Return what a Python program prints there."""
    python = device.address.python
    done = device.run([python, *arguments], timeout_s=300)
    if done.returncode == 127:
        mend = "Install it: apt install python3" if python == "python3" else "Give another: --python"
        raise DeviceError(f"{device.address} has no {python}. {mend}")
    if done.returncode:
        raise device.failure([python], done)
    return done.stdout
