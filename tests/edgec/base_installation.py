"""An installation of what `pip install edgec` brings, by links to the packages that are installed here."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.installed_size import BASE, EXTRAS, closure
from tests.conftest import ROOT


def files_of(packages: Iterable[metadata.Distribution]) -> Iterator[Path]:
    """Their files and folders in site-packages."""
    for one in packages:
        tops = {path.parts[0] for path in one.files or ()}
        yield from (Path(str(one.locate_file(top))) for top in tops - {"..", "__pycache__"})


@dataclass(frozen=True)
class BaseInstallation:
    """A virtual environment; `packages` is its site-packages."""

    place: Path
    packages: Path

    def run(self, *words: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
        """Run the program."""
        return self._run("-m", "edgec", *map(str, words), cwd=cwd)

    def python(self, text: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of Python's."""
        return self._run("-c", text, cwd=self.place)

    def _run(self, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        environment |= {"PYTHONPATH": str(ROOT), "ZIG_GLOBAL_CACHE_DIR": os.environ["ZIG_GLOBAL_CACHE_DIR"]}
        command = [str(self.place / "bin" / "python"), *words]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    def install_what_is_missing(self, extra: str = "") -> None:
        """Link what `pip install edgec`, or `edgec[extra]`, would bring, if it is not there."""
        wanted = [*BASE, *EXTRAS.get(extra, [])]
        for file in set(files_of(closure(wanted).values())):
            link = self.packages / file.name
            if not link.is_symlink():
                link.symlink_to(file)


def base_installation(place: Path) -> BaseInstallation:
    """Make one in a new folder."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    (packages,) = place.glob("lib/*/site-packages")
    made = BaseInstallation(place, packages)
    made.install_what_is_missing()
    ours = packages / "edgec-0.dist-info"
    ours.mkdir()
    (ours / "METADATA").write_text("Metadata-Version: 2.1\nName: edgec\nVersion: 0\n")
    return made
