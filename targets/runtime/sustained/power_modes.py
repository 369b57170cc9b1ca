"""./run power-modes: a short soak in each power mode of a Jetson, as one table and one plot.

A mode that needs a reboot is left for the next run, which goes on with what is missing. The mode from before
is set again at the end. Engines keep the kernels that were chosen in the mode in which they were built.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np

from ..bundle.manifest import EVALUATION, Manifest, ManifestError
from ..nvpmodel import PowerMode, asked_mode, limits_not_in_force, read_configuration
from ..runners import find_runner
from .choice_file import CHOICE
from .power_meter import find_meter
from .soak import Soaked, candidate_in, soak

RECORD, PLOT = "power_modes.json", "power_modes.svg"
FORM = 3
"""Of the record: the results of an older form are measured again."""
UNFINISHED = 3
HEAD = ("mode", "sustained p90 ms", "images/s", "W", "mJ/image", "mJ/image above idle", "throttled")


PATIENCE_S = 60.0
"""So long a mode may take until its limits are in force: a hot GPU is held below them until it has cooled."""


NO_RIGHT = re.compile(
    r"permission denied|password is required|terminal is required|sudoers|not allowed", re.I
)
"""What sudo, and nvpmodel without it, say where the user may not change the mode."""


class PowerModeProblem(ValueError):
    """This device has no power modes, or refuses to change them. The message says what to do."""


class ModeRefused(PowerModeProblem):
    """nvpmodel cannot set one mode, for another reason than the user's rights; others may work."""


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run on the bundle in `folder`. Returns the exit code: 3 if modes are left for after a reboot."""
    parser = argparse.ArgumentParser(prog="run power-modes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long in each mode (default: 60)")
    parser.add_argument(
        "--idle-seconds", type=float, default=10.0, help="of idle power in each (default: 10)"
    )
    parser.add_argument("--modes", nargs="+", help="names, such as 15W MAXN (default: all)")
    options = parser.parse_args(arguments)
    try:
        wanted = chosen_modes(options.modes)
        measured = _measurer(folder, options.seconds, options.idle_seconds)
        around = {
            "engine": engine_identity(folder / Manifest.read(folder).engine),
            "seconds": options.seconds,
            "form": FORM,
        }
        left = sweep(folder / RECORD, wanted, around, measured, print)
    except (ManifestError, PowerModeProblem, ValueError, OSError) as error:
        print(f"power-modes: {error}", file=sys.stderr)
        return 1
    known = read_record(folder / RECORD, around)
    results, refused = known["results"], known["not_in_force"]
    print("\n".join(table(results)))
    for name, different in refused.items():
        print(f"{name} is not in force, so it was not measured: {'; '.join(different)}")
    (folder / PLOT).write_text(plot(results), encoding="utf-8")
    print(f"plot: {folder / PLOT}")
    for mode in left:
        print(
            f"{mode.name} needs a reboot: sudo nvpmodel -m {mode.number}, answer YES, and run this again. "
            "It continues with the remaining modes"
        )
    return UNFINISHED if left or refused else 0


def engine_identity(engine: Path) -> dict[str, str]:
    """Say by its content which engine it is, on a Jetson with the choice among its candidates.

    So another engine of the same name, and another choice, are measured anew.
    """
    found = {"sha256": hashlib.sha256(engine.read_bytes()).hexdigest()}
    with suppress(OSError):
        found["choice"] = (engine.parent / CHOICE).read_text()
    return found


def _measurer(folder: Path, seconds: float, idle_seconds: float) -> Callable[[], Soaked]:
    manifest = Manifest.read(folder)
    with np.load(str(folder / EVALUATION), allow_pickle=False) as held:
        images = held["images"]

    def measured() -> Soaked:
        with find_runner(manifest.runner).open_engine(folder / manifest.engine, 1) as runner:
            found = soak(lambda: runner.infer(images[:1]), seconds, idle_seconds, find_meter())
        sha256 = manifest.files.get(manifest.engine, "")
        return replace(found, engine_sha256=sha256, candidate=candidate_in(folder / manifest.engine))

    return measured


def power_modes(root: Path = Path("/")) -> list[PowerMode]:
    """Return the modes that this device has. Raises PowerModeProblem if it has none."""
    found = list(read_configuration(root).modes)
    if not found:
        raise PowerModeProblem("there are no power modes in /etc/nvpmodel.conf: this is for Jetsons")
    return found


def chosen_modes(names: Sequence[str] | None, root: Path = Path("/")) -> list[PowerMode]:
    """Return the modes with these names, or all. Raises PowerModeProblem for an unknown one."""
    known = power_modes(root)
    unknown = [name for name in names or () if name not in [mode.name for mode in known]]
    if unknown:
        there = ", ".join(mode.name for mode in known)
        raise PowerModeProblem(f"there is no mode {', '.join(unknown)}; this device has {there}")
    return [mode for mode in known if names is None or mode.name in names]


def current_mode() -> PowerMode:
    """Return the mode of this moment. Raises PowerModeProblem if nvpmodel does not say."""
    _program()
    found = asked_mode()
    if found is None or found.number < 0:
        raise PowerModeProblem("nvpmodel does not say which mode is on: sudo nvpmodel -q")
    return found


def set_mode(mode: PowerMode) -> bool:
    """Change the mode; False if that needs a reboot.

    Raises ModeRefused where nvpmodel cannot set it, PowerModeProblem where the user may not.
    """
    said = _nvpmodel("-m", str(mode.number), as_root=True)
    if current_mode().number == mode.number:
        return True
    if "reboot" in said.lower():
        return False
    program = shutil.which("nvpmodel") or "/usr/sbin/nvpmodel"
    words = said.strip()[-200:] or "it says nothing"
    if said.strip() and not NO_RIGHT.search(said):
        raise ModeRefused(f"nvpmodel does not set it: {' '.join(words.split())}")
    raise PowerModeProblem(
        f"nvpmodel does not change to {mode.name}: {words}. It needs root: "
        f"echo '{_user()} ALL=(root) NOPASSWD: {program}' | sudo tee /etc/sudoers.d/edgec-nvpmodel"
    )


def sweep(
    record: Path,
    wanted: Sequence[PowerMode],
    around: dict[str, Any],
    measured: Callable[[], Soaked],
    say: Callable[[str], object],
    root: Path = Path("/"),
) -> list[PowerMode]:
    """Measure the modes that are not in the file `record` yet, and return those that need a reboot.

    The mode that is on comes first, so that what a reboot led to is used. Each result is kept at once. A mode
    that nvpmodel cannot set, or whose limits are not in force, is not measured; the record has the reason.
    """
    known = read_record(record, around)
    start = current_mode()
    known.setdefault("before", asdict(start))
    known["not_in_force"] = {}
    left: list[PowerMode] = []
    try:
        for mode in sorted(wanted, key=lambda one: one.number != start.number):
            if mode.name in known["results"]:
                say(f"{mode.name}: measured before")
                continue
            try:
                if current_mode().number != mode.number and not set_mode(mode):
                    left.append(mode)
                    continue
                _measure(mode, known, measured, say, root)
            except ModeRefused as refusal:
                say(f"{mode.name}: not measured, nvpmodel does not set it")
                known["not_in_force"][mode.name] = [str(refusal)]
            _write(record, {**known, "around": around})
    finally:
        _restore(PowerMode(**known["before"]), say)
    known["left"] = [mode.name for mode in left]
    if not left:
        known.pop("before")
    _write(record, {**known, "around": around})
    return left


def _measure(
    mode: PowerMode,
    known: dict[str, Any],
    measured: Callable[[], Soaked],
    say: Callable[[str], object],
    root: Path,
) -> None:
    different = _not_in_force(mode, root)
    if different:
        say(f"{mode.name}: not measured, it is not in force")
        known["not_in_force"][mode.name] = different
        return
    say(f"{mode.name}: measuring")
    found = asdict(measured())
    now = current_mode()
    if now.number != mode.number:
        known["not_in_force"][mode.name] = [f"the mode changed to {now.name} meanwhile"]
    else:
        known["results"][mode.name] = found


def _not_in_force(mode: PowerMode, root: Path) -> list[str]:
    """Return what of a mode is not in force, after a while in which a hot board cools."""
    end = time.monotonic() + PATIENCE_S
    while True:
        different = limits_not_in_force(mode.number, root)
        if not different or time.monotonic() >= end:
            return different
        time.sleep(1.0)


def _restore(before: PowerMode, say: Callable[[str], object]) -> None:
    if current_mode().number == before.number:
        return
    try:
        restored = set_mode(before)
    except PowerModeProblem:
        restored = False
    if not restored:
        say(f"to set the previous mode again: sudo nvpmodel -m {before.number} ({before.name})")


def read_record(record: Path, around: dict[str, Any]) -> dict[str, Any]:
    """Return what is known for the same engine and time; nothing if the file is missing or of others."""
    try:
        known: dict[str, Any] = json.loads(record.read_text())
        if known.pop("around") == around and isinstance(known["results"], dict):
            return {"not_in_force": {}, "left": [], **known}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {"results": {}, "not_in_force": {}, "left": []}


def _write(record: Path, content: dict[str, Any]) -> None:
    scratch = record.with_name(record.name + ".part")
    scratch.write_text(json.dumps(content))
    scratch.replace(record)


def table(results: dict[str, Any]) -> list[str]:
    """Return the lines of a table, one a mode."""
    rows = [HEAD, *(_row(name, found) for name, found in results.items())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    p90, spent = found["sustained_p90_ms"], found["energy"]
    power = ("not measured",) * 3
    if spent:
        power = (
            f"{spent['watts']:.2f}",
            f"{spent['mj_per_image']:.2f}{_margin(spent['half_width_mj'])}",
            f"{spent['above_idle_mj']:.2f}{_margin(spent['above_idle_half_width_mj'])}",
        )
    latency = f"{p90[0]:.3f}" if p90 else "nothing ran"
    return (name, latency, f"{found['images_per_s']:.1f}", *power, ", ".join(found["held_back"]) or "no")


def _margin(half_width: float | None) -> str:
    return "" if half_width is None else f" +-{half_width:.2f}"


def plot(results: dict[str, Any]) -> str:
    """Return an SVG: the energy of an image against the sustained p90, one point a mode."""
    points = [
        (name, found["sustained_p90_ms"][0], found["energy"]["mj_per_image"])
        for name, found in results.items()
        if found["energy"] and found["sustained_p90_ms"]
    ]
    widest, highest = (max([1e-9, *(point[axis] for point in points)]) for axis in (1, 2))
    marks = []
    for name, latency, millijoules in points:
        x, y = 60 + 400 * latency / widest, 280 - 240 * millijoules / highest
        text = f"{name}: {latency:.2f} ms, {millijoules:.1f} mJ"
        anchor = "end" if x > 300 else "start"
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        marks.append(f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="{anchor}">{_escaped(text)}</text>')
    empty = "" if points else '<text x="120" y="150">no mode has both times and energy</text>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 500 330" '
        'font-family="sans-serif" font-size="12">'
        '<path d="M60 20V280H480" fill="none" stroke="black"/>'
        '<text x="270" y="315" text-anchor="middle">sustained p90, ms (from 0)</text>'
        '<text x="20" y="150" text-anchor="middle" transform="rotate(-90 20 150)">mJ an image (from 0)</text>'
        f"{''.join(marks)}{empty}</svg>\n"
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _nvpmodel(*arguments: str, as_root: bool = False) -> str:
    """Return all that nvpmodel prints. It asks whether to reboot: the answer is no."""
    program = _program()
    sudo = shutil.which("sudo") if as_root and _user() != "root" else None
    command = [*([sudo, "-n"] if sudo else []), program, *arguments]
    done = subprocess.run(
        command, input=b"NO\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60
    )
    return done.stdout.decode(errors="replace")


def _program() -> str:
    program = shutil.which("nvpmodel")
    if program is None:
        raise PowerModeProblem("there is no nvpmodel here: power modes are for Jetsons")
    return program


def _user() -> str:
    import getpass

    return getpass.getuser()
