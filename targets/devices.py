"""The boards in devices.toml."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class CpuBoard:
    """A board with an ARM CPU: see devices.toml for the fields."""

    name: str
    summary: str
    isa: str
    emulated_cpu: str


@dataclass(frozen=True)
class Jetson:
    """A Jetson module with its GPU: see devices.toml for the fields."""

    name: str
    summary: str
    sm: str
    rtx: str
    workspace_mib: int
    fp8: bool = False
    refused: str = ""


def boards() -> dict[str, CpuBoard]:
    """Return all boards that the integer compiler serves, by name."""
    return {name: CpuBoard(name, **table) for name, table in _tables().items() if "isa" in table}


def jetsons() -> dict[str, Jetson]:
    """Return all modules that TensorRT serves, by name."""
    return {name: Jetson(name, **table) for name, table in _tables().items() if "sm" in table}


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads((Path(__file__).parent / "devices.toml").read_text())
