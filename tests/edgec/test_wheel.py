"""The wheel, in an environment that has what it depends on and no checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow  # a wheel is made and installed once

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The program as it is installed from the wheel; packages come from the environment of the tests."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = str(place / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    (packages,) = place.glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")

    def run(*words: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        environment["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_GLOBAL_CACHE_DIR"]
        command = [str(place / "bin" / "edgec"), *map(str, words)]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    return run


def test_it_holds_the_data_their_licence_the_pins_and_the_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    data = {f"edgec/data/{path.name}" for path in (ROOT / "data").glob("*.*") if path.suffix != ".py"}
    assert data <= names
    assert {"edgec/constraints.txt", "edgec/py.typed", "pipeline/report/pages/templates/report.css"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {
        *("edgec", "pipeline", "targets", "calibration")
    }


def test_the_program_runs(program: Run, tmp_path: Path) -> None:
    assert program("--version", cwd=tmp_path).stdout.startswith("edgec ")
    models = json.loads(program("models", "--json", cwd=tmp_path).stdout)
    assert "resnet20-fashion" in {model["name"] for model in models}
    found = program("doctor", "--json", cwd=tmp_path)
    data = next(one for one in json.loads(found.stdout) if one["what"] == "embedded data")
    assert data["fine"]
    assert str(ROOT) not in found.stdout


def test_a_folder_of_the_users_is_not_taken_for_ours(program: Run, tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").touch()
    assert program("models", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_a_build_runs_and_gives_the_bytes_of_the_checkout(
    program: Run, quick: Path, quick_build: Path, tmp_path: Path
) -> None:
    done = program("build", "--config", quick, "--out", "out", "--json", cwd=tmp_path)
    assert done.returncode in (0, 3), done.stderr
    for name in ("model.onnx", "ranges.json", "model.int8.onnx"):
        built = (tmp_path / "out" / "resnet20-fashion-reference" / name).read_bytes()
        assert built == (quick_build / "resnet20-fashion-reference" / name).read_bytes()
