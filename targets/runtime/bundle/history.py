"""The history of a folder's installations, so that a device refuses releases lower than it has had."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAME = "history.jsonl"
INSTALL, DOWNGRADE, ROLLBACK, RETURN = "install", "downgrade", "rollback", "return"


class HistoryError(ValueError):
    """A history that cannot be read; without it, old releases cannot be recognised."""


@dataclass(frozen=True)
class Switch:
    """One version that was switched to, and why."""

    version: str
    release: int
    how: str  # INSTALL, DOWNGRADE, ROLLBACK or RETURN
    signer: str | None


def switches(into: Path) -> list[Switch]:
    """Return all switches, the oldest first. Raises HistoryError."""
    path = into / NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [_switch(json.loads(line)) for line in lines]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise HistoryError(
            f"{path} cannot be read: {error}. It says which releases this device has had. Look at it;"
            " removing it lets older ones in."
        ) from error


def _switch(found: Any) -> Switch:
    """Return what a line says. Raises TypeError for what no switch is."""
    switch = Switch(**found)
    if type(switch.release) is not int or not isinstance(switch.version, str):
        raise TypeError(f"{found!r} is not a record of a switch")
    return switch


def highest_release(into: Path) -> int:
    """Return the highest release that was ever switched to; 0 if there was none. Raises HistoryError."""
    return max((switch.release for switch in switches(into)), default=0)


def record(into: Path, switch: Switch) -> None:
    """Add a switch atomically."""
    lines = [json.dumps(asdict(each)) + "\n" for each in (*switches(into), switch)]
    scratch = into / f".{NAME}"
    with scratch.open("w", encoding="utf-8") as file:
        file.write("".join(lines))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(into / NAME)
