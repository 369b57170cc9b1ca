"""The instruction set extensions that this processor has, and those that an engine needs."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

MACHINES = dict.fromkeys(("avx512vnni", "avxvnni", "avx512", "avx2", "sse4"), "x86_64")
"""Machines by an engine's instruction set; others are for aarch64."""
NEEDED = {
    "avx512vnni": {"avx512_vnni", "avx512bw", "avx512dq", "avx512vl", "avx512cd"},
    "avxvnni": {"avx_vnni", "avx2", "fma"},
    "avx512": {"avx512bw", "avx512dq", "avx512vl", "avx512cd"},
    "avx2": {"avx2", "fma", "bmi2"},
    "sse4": {"sse4_1", "sse4_2", "ssse3", "popcnt"},
    "i8mm": {"i8mm", "asimddp"},
    "dotprod": {"asimddp"},
    "neon": {"asimd"},
}
"""The kernel's flags that an instruction set needs; the fastest of a family first."""

HWCAPS = ((16, {"asimd": 1 << 1, "asimddp": 1 << 20}), (26, {"i8mm": 1 << 13}))
"""Entries of the auxiliary vector (AT_HWCAP, AT_HWCAP2) and their bits: Linux, arm64 uapi/asm/hwcap.h."""


def why_not(isa: str) -> str | None:
    """Return why this machine cannot run an engine of an instruction set; None if it can."""
    wanted = MACHINES.get(isa, "aarch64")
    if platform.machine() != wanted:
        return f"it is for {wanted} ({isa}), and this machine is {platform.machine()}"
    missing = NEEDED.get(isa, set()) - flags()
    if missing:
        return f"it needs {' and '.join(sorted(missing))}, which this machine's processor does not have"
    return None


def flags() -> set[str]:
    """Return the flags of this processor, of those in NEEDED.

    On ARM they come from the auxiliary vector, which emulators provide too; /proc/cpuinfo under an emulator
    is the host's.
    """
    if platform.machine() == "aarch64":
        getauxval = ctypes.CDLL(None).getauxval
        getauxval.restype, getauxval.argtypes = ctypes.c_ulong, (ctypes.c_ulong,)
        return {name for entry, bits in HWCAPS for name, bit in bits.items() if getauxval(entry) & bit}
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    return {word for line in text.splitlines() if line.startswith("flags") for word in line.split()}
