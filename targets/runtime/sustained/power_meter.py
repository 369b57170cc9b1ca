"""Reads what a board draws, from the sensors that it has on itself.

Jetson: INA3221 and INA238 monitors behind the kernel's hwmon; tegrastats where these may not be read.
Raspberry Pi 5: its power chip, by vcgencmd. RK3588 boards with a monitor on them: hwmon.
Sources: the kernel's Documentation/hwmon/sysfs-interface and ina3221; NVIDIA's Jetson developer guide on
power rails and tegrastats; the documentation of vcgencmd.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Protocol

from ..tegra import chip

MONITORS = re.compile(r"ina\d+x?")
"""Names of current and power monitors among the hwmon devices."""
WHOLE = ("VDD_IN", "POM_5V_IN", "VIN")
"""Rails through which a whole Jetson is fed: of Orin Nano and NX and Xavier NX, of the Nano, and of Thor."""
NOT_CONNECTED = "NC"
THREE_CHANNELS, LAST_RAIL = "ina3221", 3
"""This monitor has rails 1 to 3. Its curr4_input is the sum of their currents, its in4_input a shunt's
voltage in uV: the product, ten watts and more, is nothing. Source: the kernel's ina3221.rst."""
TEGRASTATS_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]+) (-?\d+)(?:mW)?(?:/-?\d+(?:mW)?){1,2}(?=\s|$)")
"""A rail in a line of tegrastats, its power now first: "VDD_IN 4280mW/4280mW".

JetPack 4 has no mW, 7.2 a third figure; a Thor's idle GPU is a little below zero."""
INPUT_MONITOR, INPUT = "ina238", "VIN"
"""The monitor at the input of a Thor's board, and its rail's name, for which the kernel has no label. That
rail feeds the others, so it replaces them: added up, they would count twice. Source: jetson_stats."""
SILENT_S = 5.0
"""So long without a line, tegrastats does not answer."""
PMIC_LINE = re.compile(r"(\w+)_([AV]) (?:current|volt)\(\d+\)=([\d.]+)[AV]")
"""Of `vcgencmd pmic_read_adc`: "VDD_CORE_A current(7)=1.53A"."""


class PowerMeter(Protocol):
    """What a board draws."""

    @property
    def rails(self) -> str:
        """What is included, in words: no figure without it."""
        ...

    @property
    def interval_s(self) -> float:
        """How often it is worth reading."""
        ...

    def watts(self) -> float | None:
        """Return what it draws now; None if it does not answer."""
        ...

    def close(self) -> None:
        """End what it started."""
        ...


@dataclass(frozen=True)
class Rail:
    """One rail of a hwmon monitor: files with its power in uW, or with current in mA and voltage in mV."""

    name: str
    power: Path | None
    current: Path | None
    voltage: Path | None

    def watts(self) -> float | None:
        """Return its power; None if it cannot be read."""
        if self.power is not None:
            microwatts = _number(self.power)
            return None if microwatts is None else microwatts / 1e6
        if self.current is None or self.voltage is None:
            return None
        milliamperes, millivolts = _number(self.current), _number(self.voltage)
        if milliamperes is None or millivolts is None:
            return None
        return milliamperes * millivolts / 1e6


class HwmonMeter:
    """The monitors on the board, through the kernel."""

    interval_s = 0.05

    def __init__(self, rails: list[Rail]) -> None:
        whole = [rail for rail in rails if rail.name in WHOLE]
        self._rails = whole[:1] or rails
        names = [rail.name for rail in self._rails]
        self.rails = f"rail {names[0]}" if len(names) == 1 else f"sum of the rails {', '.join(names)}"

    def watts(self) -> float | None:
        """Return the power of the rail that feeds all, else the sum of all rails."""
        return _sum([rail.watts() for rail in self._rails])

    def close(self) -> None:
        """Nothing was started."""


class TegrastatsMeter:
    """NVIDIA's program, which prints a line with all rails ten times a second.

    A thread takes each line as it is printed: lines that wait in a pipe would be read ever later, as the
    power of a moment that has passed.
    """

    interval_s = 0.1

    def __init__(self, program: str) -> None:
        self._child = subprocess.Popen(
            [program, "--interval", "100"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._news = threading.Condition()
        self._line, self._ended = "", False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.rails = ""
        self.watts()  # the first line says which rails there are

    def watts(self) -> float | None:
        """Return the power in the newest line, waiting for one; None if the program ended or is silent."""
        with self._news:
            self._news.wait_for(lambda: self._line or self._ended, SILENT_S)
            line, self._line = self._line, ""
        rails = tegrastats_rails(line)
        names = [name for name in rails if name in WHOLE][:1] or list(rails)
        which = names[0] if len(names) == 1 else f"sum of {', '.join(names)}"
        self.rails = f"{which}, by tegrastats" if names else self.rails
        return sum(rails[name] for name in names) if names else None

    def close(self) -> None:
        """End the program."""
        self._child.kill()
        self._child.wait()
        self._reader.join()
        if self._child.stdout:
            self._child.stdout.close()

    def _read(self) -> None:
        for line in self._child.stdout or ():
            self._tell(line.decode(errors="replace"))
        self._tell("", ended=True)

    def _tell(self, line: str, ended: bool = False) -> None:
        with self._news:
            self._line, self._ended = line, ended
            self._news.notify()


class PmicMeter:
    """The power chip of a Raspberry Pi 5, which feeds the board's parts. It does not see USB devices."""

    interval_s = 0.5  # each reading starts a program

    def __init__(self, program: str) -> None:
        self._program = program
        self.rails = "sum of the power chip's rails, without USB devices"

    def watts(self) -> float | None:
        """Ask the firmware."""
        return pmic_watts(_output([self._program, "pmic_read_adc"]))

    def close(self) -> None:
        """Nothing was started."""


def find_meter(root: Path = Path("/")) -> PowerMeter | None:
    """Return what can be read here; None where nothing measures power."""
    rails = hwmon_rails(root)
    readable = [rail for rail in rails if rail.watts() is not None]
    if readable:
        return HwmonMeter(readable)
    tegrastats = shutil.which("tegrastats")
    if tegrastats:
        meter = TegrastatsMeter(tegrastats)
        if meter.rails:
            return meter
        meter.close()
    vcgencmd = shutil.which("vcgencmd")
    if vcgencmd and PmicMeter(vcgencmd).watts():
        return PmicMeter(vcgencmd)
    return None


def hwmon_rails(root: Path = Path("/")) -> list[Rail]:
    """Return the rails of all monitors, by the order of the kernel's numbers."""
    found, on_tegra = [], bool(chip(root))
    for device in sorted((root / "sys/class/hwmon").glob("hwmon*"), key=_number_in):
        name = _text(device / "name")
        if not MONITORS.fullmatch(name):
            continue
        channels = sorted({_number_in(path) for kind in ("curr", "power") for path in _inputs(device, kind)})
        for channel in channels:
            if name == THREE_CHANNELS and channel > LAST_RAIL:
                continue
            label = _label(device, channel) or (
                INPUT if name == INPUT_MONITOR and on_tegra else f"{name} {channel}"
            )
            if label == NOT_CONNECTED:
                continue
            power, current = (device / f"{kind}{channel}_input" for kind in ("power", "curr"))
            voltage = _voltage(device, channel)
            found.append(
                Rail(label, power if power.exists() else None, current if current.exists() else None, voltage)
            )
    return found


def _voltage(device: Path, channel: int) -> Path | None:
    """The bus voltage beside a current. What an INA238 calls in0, and an INA3221 in4 to in6, are shunts."""
    path = device / f"in{channel}_input"
    return path if path.exists() else None


def _label(device: Path, channel: int) -> str:
    names = (f"in{channel}_label", f"curr{channel}_label", f"power{channel}_label")
    return next((text for name in names if (text := _text(device / name))), "")


def _inputs(device: Path, kind: str) -> list[Path]:
    return list(device.glob(f"{kind}[0-9]*_input"))


def tegrastats_rails(line: str) -> dict[str, float]:
    """Return the rails in a line of tegrastats, in watts. NC is not connected."""
    found = {name: int(milliwatts) / 1000 for name, milliwatts in TEGRASTATS_RAIL.findall(line)}
    return {name: watts for name, watts in found.items() if name not in ("NC", "RAM", "SWAP", "IRAM")}


def pmic_watts(output: str) -> float | None:
    """Return the sum of the rails with a current and a voltage in what pmic_read_adc prints."""
    values: Mapping[str, dict[str, float]] = {"A": {}, "V": {}}
    for rail, kind, value in PMIC_LINE.findall(output):
        values[kind][rail] = float(value)
    rails = values["A"].keys() & values["V"].keys()
    return sum(values["A"][rail] * values["V"][rail] for rail in rails) if rails else None


def _sum(watts: list[float | None]) -> float | None:
    known = [one for one in watts if one is not None]
    return sum(known) if len(known) == len(watts) and known else None


def _number_in(path: Path) -> int:
    found = re.search(r"\d+", path.name)
    return int(found.group()) if found else 0


def _number(path: Path) -> float | None:
    text = _text(path).split(" ")[0]
    return float(text) if text.lstrip("-").isdigit() else None


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
