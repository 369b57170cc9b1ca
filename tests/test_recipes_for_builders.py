"""The recipes for Yocto and Nix in docs/integrate.md: their own parsers read them, and what they say runs."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from targets.runtime.compiled_libedgec import SHARED
from tests.conftest import ROOT
from tests.integrate_page import program
from tests.targets.tensorrt.bindings import wheel

FILES = ("bin/edgec-serve", f"lib/{SHARED}", "manifest.json", "engine/model.engine")


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The files of a bundle that the recipes name, each with its own content."""
    folder = tmp_path / "files" / "bundle"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"the content of {name}")
    return folder


@pytest.mark.usefixtures("unpacked")
@pytest.mark.parametrize("release", ["with UNPACKDIR", "before 5.1"])
def test_bitbake_reads_the_recipe_and_it_installs_a_folder_that_libedgec_opens(
    tmp_path: Path, release: str
) -> None:
    genuine = wheel("bitbake_setup-")
    if genuine is None:
        pytest.skip("BitBake does NOT read the recipe: run scripts/tensorrt_wheels.sh")
    parser = tmp_path / "parser"
    with zipfile.ZipFile(genuine) as archive:
        archive.extractall(parser)
    (parser / "hashserv").mkdir()  # a server of results, which the wheel has not and parsing does not ask
    for name in ("__init__", "client"):
        (parser / "hashserv" / f"{name}.py").touch()
    (tmp_path / "classes").mkdir()
    (tmp_path / "classes" / "base.bbclass").touch()
    recipe = tmp_path / "edgec-model.bb"
    recipe.write_text(program("bitbake"))
    command = [sys.executable, ROOT / "tests" / "parse_recipe.py", recipe, tmp_path]
    done = subprocess.run(
        [*map(str, command), *(["old"] if release == "before 5.1" else [])],
        env={"PYTHONPATH": str(parser)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["LICENSE"], told["SRC_URI"]) == ("CLOSED", "file://bundle")
    assert told["FILES:edgec-model"].split() == ["/usr/lib/edgec"]
    subprocess.run(["sh", "-e", "-c", told["do_install"]], check=True)
    image = tmp_path / "image" / "usr"
    found = {path.relative_to(image).as_posix(): path.read_text() for path in image.rglob("*.*")}
    assert found == {
        f"lib/{SHARED}": f"the content of lib/{SHARED}",
        "lib/edgec/model/manifest.json": "the content of manifest.json",
        "lib/edgec/model/engine/model.engine": "the content of engine/model.engine",
    }
    assert os.access(image / "bin" / "edgec-serve", os.X_OK)


@pytest.mark.skipif(shutil.which("nix-instantiate") is None, reason="Nix does NOT read its recipe")
def test_nix_reads_the_recipe_and_it_installs_the_bundle(unpacked: Path, tmp_path: Path) -> None:
    bundle, out = tmp_path / "some.edgec", tmp_path / "out"
    subprocess.run(["tar", "-czf", bundle, "-C", unpacked.parent, "bundle"], check=True)
    (tmp_path / "edgec-model.nix").write_text(program("nix"))
    given = f'runCommand = name: environment: script: script; bundle = "{bundle}";'
    places = {name: str(tmp_path / name) for name in ("NIX_STORE_DIR", "NIX_STATE_DIR", "HOME")}
    asked = [
        "nix-instantiate",
        "--eval",
        "--strict",
        "--json",
        "-E",
        f"import ./edgec-model.nix {{ {given} }}",
    ]
    environment = {**os.environ, **places}
    done = subprocess.run(asked, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    subprocess.run(
        ["sh", "-e", "-c", json.loads(done.stdout)], env={**environment, "out": str(out)}, check=True
    )
    assert (out / "bin" / "edgec-serve").read_text() == "the content of bin/edgec-serve"
    assert {name for name in FILES if (out / "share" / "edgec" / name).is_file()} == set(FILES)
