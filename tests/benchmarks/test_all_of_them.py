"""Every benchmark can still be started: what they import from the packages moves. Types are mypy's part."""

import subprocess
import sys

from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks"
ELSEWHERE = "run_"
"""Programs that run in a peer's own environment begin so; `peers/` holds them."""


def test_they_import_what_is_there() -> None:
    files = [path for path in FOLDER.rglob("*.py") if not path.name.startswith((ELSEWHERE, "__"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(files)]
    assert len(names) > 15
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    command = [sys.executable, "-c", code, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_those_for_other_environments_are_python() -> None:
    for path in FOLDER.rglob(f"{ELSEWHERE}*.py"):
        compile(path.read_text(), str(path), "exec")
