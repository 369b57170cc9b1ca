"""Reads what can disturb a measurement (clocks, heat, load) and this process's memory use, on Linux."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from .system_files import text_of


class MachineState(NamedTuple):
    """The state of the machine at one moment; empty or None where it cannot be read."""

    governors: tuple[str, ...]
    frequencies_mhz: tuple[float, ...]  # one per core
    temperature_c: float | None  # the hottest sensor
    throttle_events: int | None  # counted by the kernel since boot
    load_average: float | None  # runnable processes over the last minute
    cores: int  # that this process may use
    limits: tuple[str, ...] = ()  # causes that throttle the clocks now
    limits_since_boot: tuple[str, ...] = ()  # causes that have throttled them since boot


RASPBERRY_PI = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of the Raspberry Pi's get_throttled; 16 bits higher: since boot (documentation of vcgencmd)."""


class PeakMemory(NamedTuple):
    """Resident memory of this process while an engine was open."""

    before_open_bytes: int
    peak_bytes: int
    method: str


def read_state(root: Path = Path("/")) -> MachineState:
    """Read the state of the machine from /sys and /proc under `root`."""
    cpus = root / "sys/devices/system/cpu"
    zones = root / "sys/class/thermal"
    heat = _numbers(zones, "thermal_zone*/temp") or _numbers(root / "sys/class/hwmon", "hwmon*/temp*_input")
    heat = [value / 1000 for value in heat if value > 0]
    throttled = _numbers(cpus, "cpu[0-9]*/thermal_throttle/core_throttle_count")
    load = text_of(root / "proc/loadavg").split()
    return MachineState(
        governors=tuple(sorted({text_of(p) for p in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {""})),
        frequencies_mhz=tuple(v / 1000 for v in _numbers(cpus, "cpu[0-9]*/cpufreq/scaling_cur_freq")),
        temperature_c=max(heat) if heat else None,
        throttle_events=int(sum(throttled)) if throttled else None,
        load_average=float(load[0]) if load else None,
        cores=len(os.sched_getaffinity(0)),
        limits=tuple(sorted({*_pi_limits(root, 0), *_cooling(root)})),
        limits_since_boot=_pi_limits(root, 16),
    )


def throttling(before: MachineState, after: MachineState) -> tuple[str, ...]:
    """Return what throttled the clocks between two moments; empty also if the machine does not report it."""
    found = {*before.limits, *after.limits, *(set(after.limits_since_boot) - set(before.limits_since_boot))}
    events = (after.throttle_events or 0) - (before.throttle_events or 0)
    if events > 0:
        found.add(f"{events} throttle events")
    return tuple(sorted(found))


def _pi_limits(root: Path, shift: int) -> tuple[str, ...]:
    text = text_of(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    try:
        bits = int(text, 16) >> shift
    except ValueError:
        return ()
    return tuple(name for bit, name in RASPBERRY_PI.items() if bits >> bit & 1)


def over_current_events(root: Path = Path("/")) -> dict[str, int]:
    """Return how often a Jetson's over-current circuits have throttled it since boot, by circuit.

    Source: NVIDIA's Jetson developer guide, "OC Event Count".
    """
    files = sorted((root / "sys/class/hwmon").glob("hwmon*/oc*_event_cnt"))
    counts = {f"over-current ({file.name.partition('_')[0]})": text_of(file) for file in files}
    return {name: int(count) for name, count in counts.items() if count.isdigit()}


def _cooling(root: Path) -> tuple[str, ...]:
    """Name the CPUs and GPUs that the kernel throttles now against heat: its active cooling devices."""
    found = []
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = text_of(device / "type")
        if ("cpu" in kind or "gpu" in kind or "devfreq" in kind) and text_of(device / "cur_state") not in (
            "",
            "0",
        ):
            found.append(f"cooled by slowing {kind}")
    return tuple(found)


def reset_peak(process: Path = Path("/proc/self")) -> bool:
    """Reset this process's peak memory in the kernel; False if that is not permitted."""
    try:
        (process / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def resident_bytes(field: str, process: Path = Path("/proc/self")) -> int | None:
    """Return VmRSS (now) or VmHWM (peak) of this process in bytes; None where it cannot be read."""
    for line in text_of(process / "status").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def _numbers(folder: Path, pattern: str) -> list[float]:
    texts = [text_of(path) for path in sorted(folder.glob(pattern))]
    return [float(text) for text in texts if text.lstrip("-").isdigit()]
