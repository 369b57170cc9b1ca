"""What `make build` passes on: everything that is given, nothing that is not."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that is set up, whose edgec prints its arguments, one a line."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "scripts/setup.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    program = tmp_path / ".venv" / "bin" / "edgec"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    program.chmod(0o755)
    (tmp_path / ".venv" / "ready").touch()
    return tmp_path


def passed(checkout: Path, *arguments: str) -> list[str]:
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["make", "-s", *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_nothing_given_is_nothing_passed_so_that_the_configuration_decides(checkout: Path) -> None:
    assert passed(checkout, "build") == ["build"]
    assert passed(checkout, "build", "CONFIG=a.toml", "DATA=") == ["build", "--config", "a.toml"]


@pytest.mark.parametrize("path", ["my photos", "it's", 'a "b"', "größe/写真", "a;b & c", "*", "a\\b", "~/x"])
def test_no_character_of_a_path_means_anything_to_the_shell(checkout: Path, path: str) -> None:
    given = passed(checkout, "build", f"DATA={path}", f"CHECKPOINT={path}.pth", "TARGET=reference")
    assert given == ["build", "--target", "reference", "--data", path, "--checkpoint", f"{path}.pth"]


def test_more_options_are_words(checkout: Path) -> None:
    assert passed(checkout, "build", "MODEL=resnet18", "ARGS=--json --out o") == [
        *("build", "--model", "resnet18"),
        *("--json", "--out", "o"),
    ]


def test_a_film_and_a_device_are_passed_on(checkout: Path) -> None:
    assert passed(checkout, "demo", "VIDEO=my film.mp4") == ["demo", "--source", "my film.mp4"]
    given = passed(checkout, "build", "TARGET=rpi5", "DEVICE=ssh://pi@pi5")
    assert given == ["build", "--target", "rpi5", "--device", "ssh://pi@pi5"]


def test_a_matrix_is_a_file_of_any_name(checkout: Path) -> None:
    assert passed(checkout, "matrix") == ["matrix", "matrix.toml"]
    given = passed(checkout, "matrix", "MATRIX=my release.toml", "ARGS=--only target=host")
    assert given == ["matrix", "my release.toml", "--only", "target=host"]
