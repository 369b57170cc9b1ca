"""`make setup`: which Python and which torch, and what is said where neither will do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "scripts/setup.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "scripts" / "setup.sh").chmod(0o755)
    return tmp_path


def python(folder: Path, name: str, version: str) -> Path:
    """A program that says it is such a Python, and can do nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    fits = 0 if version.startswith(("3.11", "3.12", "3.13", "3.14")) else 1
    program.write_text(
        f'#!/bin/sh\ncase "$*" in\n  --version) echo "Python {version}";;\n'
        f"  *version_info*) exit {fits};;\n  *python_version*) echo {version};;\n"
        "  *ensurepip*|*'import pip'*|-) ;;\n"
        "  *) exit 9;;\nesac\n"
    )
    program.chmod(0o755)
    return program


def setup(checkout: Path, *given: str, path: str = "/usr/bin:/bin") -> "subprocess.CompletedProcess[str]":
    command = ["make", "-s", "setup", *given]
    return subprocess.run(
        command, cwd=checkout, env={"PATH": path}, capture_output=True, text=True, check=False
    )


def test_a_python_that_is_too_old_is_refused_by_name(checkout: Path, tmp_path: Path) -> None:
    old = python(tmp_path / "programs", "python3", "3.10.2")
    done = setup(checkout, f"PYTHON={old}")
    assert done.returncode == 2
    assert f"setup: Python 3.10.2 at {old} is not Python 3.11 to 3.14" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_unknown_build_of_torch_is_refused(checkout: Path, tmp_path: Path) -> None:
    new = python(tmp_path / "programs", "python3", "3.13.1")
    assert "TORCH=rocm is neither cpu nor cuda" in setup(checkout, f"PYTHON={new}", "TORCH=rocm").stderr


@pytest.mark.parametrize("version", ["3.11.2", "3.12.3", "3.13.5", "3.14.0"])
def test_every_python_that_the_pins_are_for_is_taken(checkout: Path, tmp_path: Path, version: str) -> None:
    done = setup(checkout, f"PYTHON={python(tmp_path / 'programs', 'python3', version)}")
    assert f"Setting up .venv with Python {version} and torch for cpu" in done.stdout


def test_a_full_disk_is_said_before_anything_is_downloaded(checkout: Path, tmp_path: Path) -> None:
    """Until there is room: then it goes on to make .venv."""
    new, full = python(tmp_path / "programs", "python3", "3.13.1"), tmp_path / "full" / "df"
    full.parent.mkdir()

    def tried(left: int) -> str:
        full.write_text(f"#!/bin/sh\necho header\necho /dev/vda 9000 7100 {left} 80% /\n")
        full.chmod(0o755)
        return setup(checkout, f"PYTHON={new}", path=f"{full.parent}:/usr/bin:/bin").stderr

    needed = f"setup: the packages need 4000 MB in {checkout}, which has 1900 MB left."
    assert needed in tried(1900)
    assert not (checkout / ".venv").exists()
    assert "the packages need" not in tried(4000)


def test_what_is_set_up_stays_as_it_is(checkout: Path) -> None:
    """Also with the build of torch that was chosen, unless another is asked for."""
    python(checkout / ".venv" / "bin", "python", "3.12.3")
    (checkout / ".venv" / "ready").write_text("cuda 3.12.3\n")
    assert setup(checkout).stdout == ""
    assert setup(checkout, "TORCH=cuda").stdout == ""
    assert "torch for cpu" in setup(checkout, "TORCH=cpu").stdout


def this_python(folder: Path) -> None:
    """This Python with its packages, which installs nothing."""
    folder.mkdir(parents=True)
    program = folder / "python"
    program.write_text(f'#!/bin/sh\n[ "$1" != -m ] || exit 9\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)


@pytest.mark.parametrize("pin", ["not-a-package-of-anybody==1.0", "numpy==1.0.0"])
def test_a_package_that_was_removed_or_replaced_is_installed_again(checkout: Path, pin: str) -> None:
    """`edgec doctor` and messages about missing packages say to run it."""
    this_python(checkout / ".venv" / "bin")
    pins = checkout / "constraints.txt"
    (checkout / ".venv" / "ready").write_text("cpu 3.11.7\n")
    assert setup(checkout).stdout == ""
    pins.write_text(re.sub(r"(?m)^numpy==.*$", pin, pins.read_text()))
    os.utime(pins, (0, 0))
    done = setup(checkout)
    assert "Setting up .venv" in done.stdout
    assert "pip could not install torch" in done.stderr
