"""A program whose own sources change while it runs keeps nothing of the stages that they decide."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cache.code_at_start import PACKAGES, ROOT

PROGRAM = """
import os, sys
from pathlib import Path

import edgec

edgec.QuantRecipe  # its module is loaded

from pipeline.cache.stage import Stage
from pipeline.cache.store import Store
from pipeline.errors import CodeChangedError
from pipeline.progress import Silent

edit, when = sys.argv[1:]


class Ranged(Stage):
    name = "ranged"
    code = ("calibration/recipe.py", "targets/devices.py")

    def run(self, output, progress):
        (output / "ranges").write_text("by the code")
        if when == "while the stage runs":
            exec(edit)


if when == "before its digest is taken":
    exec(edit)
Ranged().key()
if when == "after that":
    exec(edit)
try:
    Store(Path("store")).make(Ranged(), Silent())
except CodeChangedError as error:
    print(error)
print("kept" if any(Path("store/products").rglob("ranges")) else "nothing is kept")
"""

MORE = "Path('{0}').open('a').write('# more')"
GONE = "Path('{0}').unlink()"
NEW = "Path('{0}').touch()"
PUT_BACK = """
path = Path('{0}')
was, times = path.read_bytes(), path.stat()
path.write_bytes(was[:-1] + b' ')
path.write_bytes(was)
os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
"""
BEFORE, AFTER, WHILE = ("before its digest is taken", "after that", "while the stage runs")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources, which may be edited."""
    for package in (*PACKAGES, "edgec"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def told(sources: Path, edit: str, when: str) -> list[str]:
    command = [sys.executable, "-B", "program.py", edit, when]
    done = subprocess.run(command, cwd=sources, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("edit", "path", "when"),
    [
        (MORE, "calibration/recipe.py", BEFORE),
        (MORE, "calibration/recipe.py", AFTER),
        (MORE, "calibration/recipe.py", WHILE),
        (PUT_BACK, "calibration/recipe.py", WHILE),
        (MORE, "targets/devices.toml", WHILE),
        (NEW, "targets/new.toml", WHILE),
        (GONE, "calibration/errors.py", BEFORE),
    ],
)
def test_nothing_is_kept_of_code_that_changes(sources: Path, edit: str, path: str, when: str) -> None:
    assert told(sources, edit.format(path), when) == [
        f"edgec's own code was changed while it ran: {path}. Nothing was kept of this stage, as its result"
        " could be of the old code or of the new. Run the command again.",
        "nothing is kept",
    ]


def test_code_that_the_stage_does_not_use_may_change(sources: Path) -> None:
    assert told(sources, MORE.format("pipeline/report/table.py"), WHILE) == ["kept"]
