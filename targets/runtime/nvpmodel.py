"""Which power mode of a Jetson is on, and which of its limits the system's files do not show.

`nvpmodel -q` prints the mode that was set last. Whether its limits are in force is another question: another
program can have changed them since, or the mode may need a reboot. /etc/nvpmodel.conf names the files that
each mode writes, so they can be compared on every JetPack. Needs Python alone.

Sources: the header of NVIDIA's nvpmodel.conf for its form; listings of `nvpmodel -q --verbose` (REAL_VAL
beside CONF_VAL) that owners of a TX2, Nano, Xavier NX, Orin NX and Orin Nano published for what differs
although the mode is in force.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .system_files import output_of, text_of

CONFIGURATION = "etc/nvpmodel.conf"
SECTION = re.compile(r"^<\s*(PARAM|POWER_MODEL)\s+(.*?)\s*>")
"""< PARAM TYPE=CLOCK NAME=GPU >, < POWER_MODEL ID=2 NAME=MAXN_SUPER >; others, such as PM_CONFIG, end one."""
CURRENT = re.compile(r"NV Power Mode: *(\S+)(?:\s+(\d+))?")
"""What `nvpmodel -q` prints: "NV Power Mode: 15W" and the number on the next line."""
HIGHEST, OF_NEWER_KERNELS, TABLE = "MAX_FREQ", "_KNEXT", "FREQ_TABLE"
NO_LIMIT = "-1"
MASKS = "_POWER_GATING"
NEAR = 0.05
"""A clock without a readable table of frequencies counts as the mode's within this share of it: the kernel
rounds to a step that it has."""
MOST_NAMED = 3


@dataclass(frozen=True)
class PowerMode:
    """A mode of nvpmodel."""

    number: int
    name: str


@dataclass(frozen=True)
class Setting:
    """A line of a mode: GPU MAX_FREQ 918000000."""

    parameter: str
    argument: str
    value: str


@dataclass(frozen=True)
class Configuration:
    """/etc/nvpmodel.conf: the modes, and the files that their settings are written to."""

    modes: dict[PowerMode, tuple[Setting, ...]]
    paths: dict[tuple[str, str], str]
    """By parameter and argument."""
    clocks: frozenset[str]
    """Parameters whose values are frequencies."""

    def settings(self, number: int) -> list[Setting]:
        """Return those of a mode; of several that write one file, the last, which is what stays.

        GPU_POWER_CONTROL is switched on before the clocks are written and back behind them.
        """
        last: dict[str, Setting] = {}
        for mode, settings in self.modes.items():
            for one in settings if mode.number == number else ():
                last[self.paths.get((one.parameter, one.argument), f"{one.parameter} {one.argument}")] = one
        return list(last.values())


def read_configuration(root: Path = Path("/")) -> Configuration:
    """Return what is configured; nothing where the file is missing."""
    modes: dict[PowerMode, tuple[Setting, ...]] = {}
    paths: dict[tuple[str, str], str] = {}
    clocks: set[str] = set()
    kind, words, mode = "", {}, None
    for line in text_of(root / CONFIGURATION).splitlines():
        section = SECTION.match(line)
        if line.startswith("<"):
            kind = section.group(1) if section else ""
            words = (
                dict(word.split("=", 1) for word in section.group(2).split() if "=" in word)
                if section
                else {}
            )
            mode = _mode(words) if kind == "POWER_MODEL" else None
            if mode is not None:
                modes[mode] = ()
            if kind == "PARAM" and words.get("TYPE") == "CLOCK":
                clocks.add(words.get("NAME", ""))
            continue
        parts = line.partition("#")[0].split()
        if kind == "PARAM" and len(parts) == 2:
            paths[words.get("NAME", ""), parts[0]] = parts[1]
        elif mode is not None and len(parts) == 3:
            modes[mode] += (Setting(*parts),)
    return Configuration(modes, paths, frozenset(clocks))


def _mode(words: dict[str, str]) -> PowerMode | None:
    number, name = words.get("ID", ""), words.get("NAME", "")
    return PowerMode(int(number), name) if number.isdigit() and name else None


def limits_not_in_force(number: int, root: Path = Path("/")) -> list[str]:
    """Return where the files show other values than the mode has: "GPU MAX_FREQ is 408000000, not 918000000".

    A file that cannot be read is passed over: the memory's clock needs root on JetPack 5. Lowest clocks are
    not compared, since jetson_clocks raises them within a mode.
    """
    configured = read_configuration(root)
    found = []
    for one in configured.settings(number):
        is_clock = one.parameter in configured.clocks
        if is_clock and one.argument != HIGHEST:
            continue
        real = _value(configured, one.parameter, one.argument, root)
        table = _value(configured, one.parameter, TABLE, root).split()
        steps = [int(step) for step in table if step.isdigit()]
        if real and not _agrees(one, real, steps, is_clock):
            wanted = f"{max(steps)}, the highest" if one.value == NO_LIMIT and steps else one.value
            found.append(f"{one.parameter} {one.argument} is {real}, not {wanted}")
    return found


def _value(configured: Configuration, parameter: str, argument: str, root: Path) -> str:
    """The text of the first file that can be read: kernels have it in one of two places."""
    for name in (argument, argument + OF_NEWER_KERNELS):
        path = configured.paths.get((parameter, name), "")
        text = text_of(root / path.lstrip("/")) if path else ""
        if text:
            return text
    return ""


def _agrees(wanted: Setting, real: str, steps: list[int], is_clock: bool) -> bool:
    if not is_clock:
        return _is_same_mask(wanted.value, real) if wanted.parameter.endswith(MASKS) else wanted.value == real
    if not (real.isdigit() and wanted.value.lstrip("-").isdigit()):
        return False
    now, limit = int(real), int(wanted.value)
    if limit <= 0:  # -1 means no limit for any clock, 0 for that of the memory
        return not steps or now in (0, max(steps))
    if not steps:
        return abs(now - limit) <= NEAR * limit
    below, above = [one for one in steps if one <= limit], [one for one in steps if one >= limit]
    return now in (max(below, default=min(steps)), min(above, default=max(steps)))


def _is_same_mask(wanted: str, real: str) -> bool:
    """Whether as many units are off. Which ones is the chip's: a Xavier NX has 2 where its mode says 1."""
    try:
        return bin(int(wanted, 0)).count("1") == bin(int(real, 0)).count("1")
    except ValueError:
        return wanted == real


def asked_mode() -> PowerMode | None:
    """Return the mode that was set last, with number -1 if it has none; None if nvpmodel does not say."""
    found = CURRENT.search(output_of(["nvpmodel", "-q"]))
    return PowerMode(int(found.group(2) or -1), found.group(1)) if found else None


def power_mode(root: Path = Path("/")) -> str:
    """Return the name of nvpmodel's mode, such as MAXN, and what of it is not in force; empty without one.

    Every key and record of a measurement has this text, so a figure is never filed under a mode's bare name
    while other limits held.
    """
    mode = asked_mode()
    if mode is None:
        return ""
    different = limits_not_in_force(mode.number, root)
    more = f" and {len(different) - MOST_NAMED} more" if len(different) > MOST_NAMED else ""
    named = "; ".join(different[:MOST_NAMED]) + more
    return f"{mode.name}, not in force ({named})" if different else mode.name
