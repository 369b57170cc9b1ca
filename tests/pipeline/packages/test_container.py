"""What a container of a bundle does when it starts, without Docker, in an ordinary folder."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pipeline.packages.write import write_packages
from tests.pipeline.packages.conftest import MakeBundle


@pytest.fixture
def package(make_bundle: MakeBundle, tmp_path: Path) -> Path:
    (folder,) = write_packages(make_bundle(), ["container"], tmp_path / "out")
    return folder


def start(package: Path, engines: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "EDGEC_IMAGE_FOLDER": str(package / "bundle"),
        "EDGEC_ENGINES": str(engines),
        "EDGEC_BUILD": "--max-drop 2",
    }
    command = [str(package / "start.sh"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_engines_are_built_in_the_volume_and_the_arguments_are_runs(package: Path, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "leftover.part").mkdir()
    said = start(package, volume, "selftest", "--images", "two words")
    (place,) = [folder for folder in volume.iterdir() if folder.suffix != ".part"]
    assert said == f"ran selftest --images two words in {place.name}\n"
    start(package, volume, "camera")
    assert (
        place / "built"
    ).read_text() == "built with --max-drop 2\n" * 2  # it finds out itself what is done
    assert sorted(path.name for path in (package / "bundle").iterdir()) == sorted(
        path.name for path in place.iterdir() if path.name != "built"
    )


def test_another_bundle_gets_a_place_of_its_own(make_bundle: MakeBundle, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    for model in ("one", "two"):
        (folder,) = write_packages(make_bundle(model=model), ["container"], tmp_path / model)
        start(folder, tmp_path / "volume", "selftest")
    assert len(list((tmp_path / "volume").iterdir())) == 2


@pytest.mark.parametrize("jetpack", ["5", "6", "7"])
def test_each_recipe_copies_what_the_package_has(package: Path, jetpack: str) -> None:
    recipe = (package / f"jetpack{jetpack}.Dockerfile").read_text()
    assert re.search(r"^FROM nvcr\.io/nvidia/\S+:\S+$", recipe, re.M)
    for source in re.findall(r"^COPY (\S+) ", recipe, re.M):
        assert (package / source).exists()
    assert recipe.count("ENTRYPOINT") == 1
    assert os.access(package / "start.sh", os.X_OK)
    assert os.access(package / "bundle" / "build_on_device.py", os.X_OK)
