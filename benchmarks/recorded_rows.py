"""Rows that benchmarks of networks record: one JSON object a line, such as a network on a target."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """How INT8 compares with FP32 for one network on one target.

    problem: why there is no engine. agreement: share of images (pixels) with the same first class. floats:
    the operators that were left in float.
    """

    network: str
    target: str
    problem: str | None = None
    agreement: float | None = None
    sqnr_db: float | None = None
    floats: tuple[str, ...] = ()


def recorded(file: Path | None) -> list[dict[str, Any]]:
    """Return the rows of a file; none if there is no such file."""
    if file is None or not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def record(rows: Iterable["DataclassInstance"], file: Path | None) -> None:
    """Print rows, and append them to the file if there is one."""
    lines = [json.dumps(asdict(row)) for row in rows]
    print("\n".join(lines), flush=True)
    if file is not None:
        with file.open("a") as output:
            output.writelines(f"{line}\n" for line in lines)
