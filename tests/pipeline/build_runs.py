"""Runs builds by the program, and reads from its output which stages ran."""

import json
from pathlib import Path
from typing import Any

from tests.conftest import Edgec


def rebuilt(edgec: Edgec, out: Path, *arguments: str | Path) -> dict[str, Any]:
    done = edgec("build", "--out", out, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def ran(result: dict[str, Any]) -> list[str]:
    return [step["stage"] for step in result["steps"] if not step["cached"]]
