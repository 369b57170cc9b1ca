"""Reads facts of this device: module, L4T, JetPack, TensorRT, GPU, memory, power mode."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from ..nvpmodel import power_mode
from ..system_files import output_of, text_of
from ..tegra import chip, l4t
from .cuda import Cuda, CudaError
from .gpu_access import explanation


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
    """As `nvpmodel.power_mode` says it: the mode's name, and what of it is not in force."""
    python: str
    tegra: str = ""
    """The chip by its device tree, such as tegra234, which a container sees too."""
    gpu_problem: str = ""
    """CUDA's own words on why no GPU answers, and what helps."""

    @property
    def is_jetson(self) -> bool:
        """Whether this is a Jetson; other NVIDIA GPUs run the same code under their own name."""
        return bool(self.l4t or self.tegra)

    def __str__(self) -> str:
        jetson = self.module or f"Jetson ({self.tegra})"
        name = jetson if self.is_jetson else f"{self.module or 'no NVIDIA GPU'} (not a Jetson)"
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
    memory = re.search(r"MemTotal: *(\d+) kB", text_of(root / "proc/meminfo"))
    sm, cuda, problem = _gpu(root)
    return DeviceFacts(
        module=_module(root),
        l4t=l4t(root),
        jetpack=_jetpack(),
        tensorrt=_tensorrt(),
        cuda=cuda,
        sm=sm,
        memory_mib=int(memory.group(1)) // 1024 if memory else 0,
        power_mode=power_mode(root),
        python=platform.python_version(),
        tegra=chip(root),
        gpu_problem=problem,
    )


def _module(root: Path) -> str:
    model = text_of(root / "proc/device-tree/model")
    if model:
        return model
    for file in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        found = re.search(r"Model:\s*(.+)", text_of(file))
        if found:
            return found.group(1).strip()
    return ""


def _jetpack() -> str:
    """Return the version of the meta-package, which is not installed on every Jetson."""
    return output_of(["dpkg-query", "-W", "-f", "${Version}", "nvidia-jetpack"]).strip()


def _tensorrt() -> str:
    try:
        import tensorrt  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return ""
    return str(tensorrt.__version__)


def _gpu(root: Path) -> tuple[str, str, str]:
    """Return the GPU's architecture, CUDA's version, and why there is none of them."""
    try:
        cuda = Cuda.load()
        return cuda.compute_capability(), cuda.version(), ""
    except CudaError as error:
        return "", "", ". ".join(part for part in (str(error).rstrip("."), explanation(root)) if part)
