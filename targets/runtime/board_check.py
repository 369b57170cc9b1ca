"""What this board has and lacks for engines, measuring and the camera demo, with the command that mends it.

python3 program.pyz; the result is one line of JSON. Needs Python alone: a missing package is a finding.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Iterator, NamedTuple

from .machine import read_state
from .nvpmodel import asked_mode
from .system_files import text_of
from .tegra import is_jetson
from .tensorrt.gpu_access import explanation

OLDEST_PYTHON = (3, 8)
OLDEST_YEAR = 2020
"""A board without a clock of its own begins in 1970, and then no certificate and no expiry can be checked."""
FREE_MIB, MEMORY_MIB, BUILD_MIB = 1024, 300, 3072
"""Disk for bundles; memory for running one; memory and swap for building with TensorRT."""
CAMERAS = ("dev/video*", "dev/media*")
SWAP = (
    "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && "
    "sudo mkswap /swapfile && sudo swapon /swapfile"
)
GOVERNORS = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"


class BoardFinding(NamedTuple):
    """The result of a check. `fine` is None if it is only information; `command` mends a fault."""

    what: str
    found: str
    fine: bool | None
    command: str = ""


def main() -> int:
    """Print all findings as one line of JSON."""
    print(json.dumps([finding._asdict() for finding in findings()]))
    return 0


def findings(root: Path = Path("/"), now: datetime.datetime | None = None) -> list[BoardFinding]:
    """Check this board. Files are read below `root`; `now` is the time that its clock shows."""
    return [
        _python(sys.version_info[:3]),
        _module("numpy", "NumPy", "sudo apt install python3-numpy"),
        *_jetson(root),
        *_opencv("gstreamer" if is_jetson(root) else ""),
        _cameras(root),
        *_clocks(root),
        _disk(Path.home()),
        _memory(root),
        _date(now or datetime.datetime.now(datetime.timezone.utc)),
    ]


def _python(version: tuple[int, ...]) -> BoardFinding:
    fine = version[:2] >= OLDEST_PYTHON
    advice = "" if fine else "sudo apt install python3.8, and make it python3"
    return BoardFinding("Python", ".".join(map(str, version)), fine, advice)


def _module(name: str, title: str, command: str) -> BoardFinding:
    try:
        found = str(importlib.import_module(name).__version__)
    except Exception as error:
        return BoardFinding(title, f"cannot be imported: {error}", False, command)
    return BoardFinding(title, found, True)


def _opencv(needs: str) -> Iterator[BoardFinding]:
    """OpenCV, and whether it was built with GStreamer, which a Jetson's ribbon camera `needs`."""
    found = _module("cv2", "OpenCV", "sudo apt install python3-opencv")
    yield found
    if not found.fine:
        return
    text = str(importlib.import_module("cv2").getBuildInformation())
    has = bool(re.search(r"GStreamer:\s*YES", text))
    command = "pip uninstall opencv-python; sudo apt install python3-opencv" if needs and not has else ""
    words = "with" if has else "without"
    yield BoardFinding("OpenCV's cameras", f"{words} GStreamer", False if command else None, command)


def _jetson(root: Path) -> Iterator[BoardFinding]:
    if not is_jetson(root):
        return
    try:
        from .tensorrt.clocks import are_locked, can_be_locked, sudo_rule
        from .tensorrt.jetson import read_facts
        from .tensorrt.trtexec import find_trtexec
    except ImportError as error:  # NumPy is missing
        yield BoardFinding("GPU", f"not asked: {error}", None)
        return
    facts = read_facts(root)
    yield BoardFinding("module", str(facts), None)
    if facts.sm:
        yield BoardFinding("GPU", f"sm_{facts.sm}, CUDA {facts.cuda}", True)
    else:
        yield BoardFinding("GPU", facts.gpu_problem, False, _command_in(facts.gpu_problem))
    yield _tensorrt(facts.tensorrt, find_trtexec())
    yield _power_mode(facts.power_mode)
    locked = are_locked(root)
    if locked or can_be_locked(root):
        yield BoardFinding("clocks", "locked" if locked else "can be locked to measure", True)
    else:
        yield BoardFinding("clocks", "cannot be locked to measure", False, sudo_rule())


def _power_mode(found: str) -> BoardFinding:
    mode = asked_mode()
    if mode is None or found == mode.name:
        return BoardFinding("power mode", found or "unknown: nvpmodel does not answer", None)
    return BoardFinding("power mode", found, False, f"sudo nvpmodel -m {mode.number}")


def _tensorrt(version: str, trtexec: str) -> BoardFinding:
    if version:
        return BoardFinding("TensorRT", version, True)
    if trtexec:
        found = "only trtexec: it can build engines, but nothing can run them"
        return BoardFinding("TensorRT", found, False, "sudo apt install python3-libnvinfer")
    return BoardFinding("TensorRT", "not installed", False, "sudo apt install nvidia-jetpack")


def _command_in(problem: str) -> str:
    found = re.search(r"sudo .+", problem)
    return found.group() if found else ""


def _cameras(root: Path) -> BoardFinding:
    nodes = [path.name for pattern in CAMERAS for path in sorted(root.glob(pattern))]
    closed = explanation(root, CAMERAS)
    if closed:
        return BoardFinding("cameras", closed, False, _command_in(closed))
    return BoardFinding("cameras", ", ".join(nodes) or "none", None)


def _clocks(root: Path) -> Iterator[BoardFinding]:
    state = read_state(root)
    if state.governors and not is_jetson(root):
        fixed = state.governors == ("performance",)
        command = (
            ""
            if fixed
            else "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
        yield BoardFinding("governor", ", ".join(state.governors), None, command)
    heat = "" if state.temperature_c is None else f"{state.temperature_c:.0f} degrees Celsius"
    held = [*state.limits, *(f"{what} since boot" for what in state.limits_since_boot)]
    if held:
        command = "Give it its own power supply and a heat sink or fan"
        yield BoardFinding("throttled", ", ".join(filter(None, (heat, *held))), False, command)
    elif heat:
        yield BoardFinding("heat", heat, None)


def _disk(folder: Path) -> BoardFinding:
    disk = os.statvfs(str(folder))
    free = disk.f_bavail * disk.f_frsize >> 20
    fine = free >= FREE_MIB
    return BoardFinding("disk", f"{free} MiB free for {folder}", fine, "" if fine else "sudo apt clean")


def _memory(root: Path) -> BoardFinding:
    """A Jetson also builds its engines, which takes more, for a short time: swap helps."""
    text = text_of(root / "proc/meminfo")
    free, swap = (_mib(text, name) for name in ("MemAvailable", "SwapFree"))
    found = f"{free} MiB free, {swap} MiB of swap"
    if is_jetson(root) and free + swap < BUILD_MIB:
        return BoardFinding("memory", f"{found}: little to build with", False, SWAP)
    if free < MEMORY_MIB:
        ends_the_desktop = "sudo systemctl isolate multi-user.target"
        return BoardFinding("memory", found, False, ends_the_desktop)
    return BoardFinding("memory", found, True)


def _mib(meminfo: str, name: str) -> int:
    found = re.search(rf"{name}: *(\d+) kB", meminfo)
    return int(found.group(1)) // 1024 if found else 0


def _date(now: datetime.datetime) -> BoardFinding:
    fine = now.year >= OLDEST_YEAR
    return BoardFinding("date", now.date().isoformat(), fine, "" if fine else "sudo timedatectl set-ntp true")
