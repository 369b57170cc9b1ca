"""The boards in devices.toml."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Board:
    """A board with an ARM CPU: see devices.toml for the fields."""

    name: str
    summary: str
    isa: str
    emulated_cpu: str


@cache
def boards() -> dict[str, Board]:
    """Return all boards by name."""
    tables = tomllib.loads((Path(__file__).parent / "devices.toml").read_text())
    return {name: Board(name, **table) for name, table in tables.items()}
