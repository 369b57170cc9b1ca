"""Describes this machine's processor."""

import os
import platform
from functools import cache
from pathlib import Path

from targets.runtime.cpu import flags

LIMIT = "EDGEC_ISA"
"""The environment variable that limits engines for this machine to an instruction set, such as avx2."""


@cache
def cpu_name() -> str:
    """Return the processor's name, its model numbers and the number of cores this process may use."""
    known = _cpuinfo()
    name = known.get("model name") or known.get("Model") or platform.processor() or platform.machine()
    numbers = [known[key] for key in ("cpu family", "model", "stepping", "CPU part") if key in known]
    cores = len(os.sched_getaffinity(0))
    return f"{name} ({platform.machine()} {'.'.join(numbers)}, {cores} cores)"


@cache
def cpu_model() -> str:
    """Return the processor's model as a short name for files: x86's family.model, ARM's implementer.part."""
    known = _cpuinfo()
    for keys in (("cpu family", "model"), ("CPU implementer", "CPU part")):
        if all(key in known for key in keys):
            return ".".join(known[key] for key in keys)
    return "unknown"


@cache
def cpu_flags() -> frozenset[str]:
    """Return the instruction set extensions the kernel reports, such as avx512_vnni or asimddp.

    On ARM also those of the auxiliary vector: under an emulator, /proc/cpuinfo describes the machine below.
    """
    known = _cpuinfo()
    if platform.machine() == "aarch64":
        return frozenset({*known.get("Features", "").split(), *flags()})
    return frozenset(known.get("flags", "").split())


def _cpuinfo() -> dict[str, str]:
    """Return the first processor's lines of /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
