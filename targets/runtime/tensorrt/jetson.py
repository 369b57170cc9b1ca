"""Reads facts of this device (module, L4T, JetPack, TensorRT, GPU, memory, power mode), and locks clocks."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from .cuda import Cuda, CudaError

if TYPE_CHECKING:
    from collections.abc import Iterator

Say = Callable[[str], None]

RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")
MODE = re.compile(r"NV Power Mode: *(\S.*)")


class DeviceProblem(RuntimeError):
    """A problem of this device that its owner can fix."""


@dataclass(frozen=True)
class DeviceFacts:
    """Facts that the device reports; empty or 0 where it does not."""

    module: str
    l4t: str
    jetpack: str
    tensorrt: str
    cuda: str
    sm: str
    memory_mib: int
    power_mode: str
    python: str

    @property
    def is_jetson(self) -> bool:
        """Whether this is a Jetson; other NVIDIA GPUs run the same code under their own name."""
        return bool(self.l4t)

    def __str__(self) -> str:
        name = self.module if self.is_jetson else f"{self.module or 'no NVIDIA GPU'} (not a Jetson)"
        parts = [
            name,
            f"L4T {self.l4t}" if self.l4t else "",
            f"JetPack {self.jetpack}" if self.jetpack else "",
            f"TensorRT {self.tensorrt}" if self.tensorrt else "no TensorRT",
            f"sm_{self.sm}" if self.sm else "no CUDA device",
            f"{self.memory_mib} MiB",
            f"power mode {self.power_mode}" if self.power_mode else "",
        ]
        return ", ".join(part for part in parts if part)


def read_facts(root: Path = Path("/")) -> DeviceFacts:
    """Return the facts of this machine. Files are read below `root`."""
    release = RELEASE.search(_text(root / "etc/nv_tegra_release"))
    memory = re.search(r"MemTotal: *(\d+) kB", _text(root / "proc/meminfo"))
    sm, cuda = _gpu()
    return DeviceFacts(
        module=_module(root),
        l4t="{}.{}".format(*release.groups()) if release else "",
        jetpack=_jetpack(),
        tensorrt=_tensorrt(),
        cuda=cuda,
        sm=sm,
        memory_mib=int(memory.group(1)) // 1024 if memory else 0,
        power_mode=power_mode(),
        python=platform.python_version(),
    )


def power_mode() -> str:
    """Return the name of nvpmodel's mode, such as MAXN; empty where there is none."""
    found = MODE.search(_output(["nvpmodel", "-q"]))
    return found.group(1).strip() if found else ""


def _module(root: Path) -> str:
    model = _text(root / "proc/device-tree/model")
    if model:
        return model
    for file in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        found = re.search(r"Model:\s*(.+)", _text(file))
        if found:
            return found.group(1).strip()
    return ""


def _jetpack() -> str:
    """Return the version of the meta-package, which is not installed on every Jetson."""
    return _output(["dpkg-query", "-W", "-f", "${Version}", "nvidia-jetpack"]).strip()


def _tensorrt() -> str:
    try:
        import tensorrt  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return ""
    return str(tensorrt.__version__)


def _gpu() -> tuple[str, str]:
    try:
        cuda = Cuda.load()
        return cuda.compute_capability(), cuda.version()
    except CudaError:
        return "", ""


@contextmanager
def locked_clocks(memory: Path, say: Say) -> Iterator[bool]:
    """Lock a Jetson's clocks at their maximum, and restore them, also after a failure.

    The previous clocks are kept in the file `memory` until they are restored: after a power failure the next
    run finds the file and restores them first. Yields whether the clocks are locked; that needs root.
    """
    if memory.exists():
        say("restoring the clocks that an interrupted run left locked")
        _clocks("--restore", str(memory))
        memory.unlink()
    locked = _clocks("--store", str(memory)) and _clocks()
    if not locked:
        say("clocks are not locked: that needs root and jetson_clocks")
    try:
        yield locked
    finally:
        if memory.exists():
            if locked:
                _clocks("--restore", str(memory))
            memory.unlink()


def _clocks(*arguments: str) -> bool:
    program = shutil.which("jetson_clocks")
    if program is None:
        return False
    command = ["sudo", "-n", program, *arguments] if shutil.which("sudo") else [program, *arguments]
    return (
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
        == 0
    )


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""
