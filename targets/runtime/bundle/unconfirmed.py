"""A version that was switched to and has not confirmed itself yet, and the way back.

trial.json is written before the links change and removed when the version has confirmed itself. A program
that finds it while no installation is under way switches back: the machine lost its power.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "trial.json"


@dataclass(frozen=True)
class Unconfirmed:
    """The version on trial, and the names of the versions that the links had before; None: no link."""

    version: str
    current: str | None
    previous: str | None


def begin(into: Path, version: str) -> None:
    """Write down what the links are, before they change."""
    held = Unconfirmed(version, _target(into / "current"), _target(into / "previous"))
    scratch = into / f".{NAME}"
    with scratch.open("w", encoding="utf-8") as file:
        file.write(json.dumps(asdict(held)))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(into / NAME)
    _sync(into)


def pending(into: Path) -> Unconfirmed | None:
    """Return the trial that has not ended; None if there is none, or none that can be read."""
    try:
        return Unconfirmed(**json.loads((into / NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def end(into: Path) -> None:
    """Forget the trial: the links stay as they are."""
    _sync(into)
    with contextlib.suppress(FileNotFoundError):
        (into / NAME).unlink()
    _sync(into)


def go_back(into: Path) -> Unconfirmed | None:
    """Set the links back to what they were before the pending trial, and end the trial."""
    found = pending(into)
    if found is not None:
        for name, version in (("current", found.current), ("previous", found.previous)):
            if version is not None and (into / "versions" / version).is_dir():
                link(into / name, version)
            else:
                with contextlib.suppress(FileNotFoundError):
                    (into / name).unlink()
    end(into)
    return found


def link(place: Path, version: str) -> None:
    """Let the link at `place` lead to a version, in one step."""
    scratch = place.with_name(f".{place.name}")
    with contextlib.suppress(FileNotFoundError):
        scratch.unlink()
    scratch.symlink_to(Path("versions") / version)
    scratch.replace(place)


def _target(place: Path) -> str | None:
    return place.resolve().name if place.is_symlink() else None


def _sync(folder: Path) -> None:
    descriptor = os.open(str(folder), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
