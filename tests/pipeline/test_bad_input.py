"""What users get wrong: a clear error, a non-zero exit code, nothing half-written, no traceback."""

import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pipeline.data.embedded import EMBEDDED
from tests.conftest import Edgec
from tests.pipeline.data.pictures import class_folders, idx_bytes, random_pixels, write_folder, write_idx_set

WEIGHTS = EMBEDDED / "resnet20_fashion.safetensors"


def refused(edgec: Edgec, out: Path, *arguments: str | Path, code: int = 1) -> str:
    """Build, expect the exit code, and return the error, having checked that nothing was published."""
    done = edgec("build", "--out", out, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("edgec: ") or "edgec: " in done.stderr
    assert not list(out.glob("*.edgec"))
    assert not list(out.glob("*/report.json"))
    assert not list(out.glob("store/scratch/*"))
    return done.stderr


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_an_unknown_target(edgec: Edgec, out: Path) -> None:
    error = refused(edgec, out, "--target", "refrence", code=2)
    assert "Unknown target 'refrence'. Did you mean 'reference'?" in error
    assert not out.exists()


def test_an_unknown_model(edgec: Edgec, out: Path) -> None:
    error = refused(edgec, out, "--model", "resnet20-cifar", code=2)
    assert "Unknown model 'resnet20-cifar'. Did you mean 'resnet20-cifar10'?" in error


def test_an_unknown_option(edgec: Edgec) -> None:
    done = edgec("build", "--modle", "resnet18")
    assert done.returncode == 2
    assert "No such option" in done.stderr


def test_an_unknown_recipe(edgec: Edgec, out: Path) -> None:
    assert "w8a8_asym" in refused(edgec, out, "--recipe", "w8a8_asim", code=2)


def test_a_model_without_weights_or_images(edgec: Edgec, out: Path) -> None:
    assert "--checkpoint" in refused(edgec, out, "--model", "resnet50")
    assert "--data" in refused(edgec, out, "--model", "resnet20-cifar10", "--checkpoint", WEIGHTS)


def test_a_missing_checkpoint(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.pth"
    assert "does not exist" in refused(edgec, out, "--checkpoint", missing, code=2)


def test_a_truncated_checkpoint(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(WEIGHTS.read_bytes()[:100_000])
    assert "cut.safetensors" in refused(edgec, out, "--checkpoint", cut)


class BadInput:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.file),)


def test_a_pickle_with_code_in_it_is_not_run(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    weights = {"conv1.weight": BadInput(tmp_path / "attacked")}
    torch.save(weights, tmp_path / "new.pth")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(weights))
    for name in ("new.pth", "old.pt"):
        error = refused(edgec, out, "--checkpoint", tmp_path / name)
        assert name in error
        assert not (tmp_path / "attacked").exists()


def test_a_checkpoint_of_another_model(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", class_folders(train=4, test=4))
    error = refused(edgec, out, "--model", "resnet18", "--data", data, "--checkpoint", WEIGHTS)
    assert "missing" in error
    assert "resnet20-fashion" in error


def test_a_wrong_number_of_classes(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", class_folders(train=4, test=4))
    error = refused(edgec, out, "--data", data)
    assert "10 classes" in error
    assert "2" in error


def test_an_empty_calibration_set(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    write_idx_set(tmp_path / "data", t10k=20)
    pixels = random_pixels(0)
    (tmp_path / "data" / "calibration-images-idx3-ubyte").write_bytes(idx_bytes(pixels[:, :, :, 0]))
    (tmp_path / "data" / "calibration-labels-idx1-ubyte").write_bytes(idx_bytes(pixels[:, 0, 0, 0]))
    assert "calibration" in refused(edgec, out, "--data", tmp_path / "data")


@pytest.mark.parametrize("split", ["calibration", "train"])
def test_calibration_or_training_images_that_are_evaluation_images(
    edgec: Edgec, out: Path, tmp_path: Path, split: str
) -> None:
    files = class_folders(calibration=40, train=8, test=8)
    files[f"{split}/ash/copied.png"] = files["test/ash/000.png"]
    data = write_folder(tmp_path / "data", files)
    assert "copied.png" in refused(edgec, out, *small_network(tmp_path), "--data", data)


def small_network(folder: Path) -> list[str | Path]:
    """Options for a network of two classes of pictures, with random weights."""
    from pipeline.models.resnet import build
    from pipeline.models.zoo import find_model

    torch.manual_seed(0)
    name, weights = "resnet18-narrow4-64px", folder / "two.pth"
    torch.save(build(find_model(name).architecture, 3, 2).state_dict(), weights)
    return ["--model", name, "--checkpoint", weights, "--target", "reference"]


def test_a_damaged_jpeg_is_named_and_counted_and_many_are_fatal(edgec: Edgec, tmp_path: Path) -> None:
    files = class_folders(train=40, test=110)
    files["test/ash/cut.jpg"] = b"\xff\xd8\xff\xe0 cut off"
    data = write_folder(tmp_path / "data", files)
    config = tmp_path / "quick.toml"
    config.write_text(
        "[calibration]\nimages = 16\n[latency]\nseconds = 0.1\npeer = false\n[validation]\nmax_drop = 100\n"
    )
    arguments = [*small_network(tmp_path), "--data", data, "--config", config]
    done = edgec("build", "--out", tmp_path / "out", *arguments)
    assert done.returncode == 5, done.stderr  # random weights only guess
    assert "cut.jpg" in done.stderr
    assert "cut.jpg" in next(tmp_path.glob("out/*/report.json")).read_text()

    for n in range(3):
        (data / f"test/ash/cut{n}.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    error = refused(edgec, tmp_path / "other", *arguments)
    assert "damaged" in error
    assert "cut" in error


def test_an_output_folder_that_cannot_be_written(edgec: Edgec) -> None:
    done = edgec("build", "--out", "/sys/edgec")
    assert done.returncode == 1
    assert "Cannot write /sys/edgec" in done.stderr
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB: room for the ranges, none for the models."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("a full disk needs a small file system, and only root may mount one")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk(edgec: Edgec, quick: Path, tiny_disk: Path) -> None:
    error = refused(edgec, tiny_disk / "out", "--config", quick)
    assert "No space left" in error
    assert "--out" in error
