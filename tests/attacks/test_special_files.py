"""No reader waits for a pipe or reads a device to its end, whichever option names it."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.build.parts import RECORD, read_part
from pipeline.bundle.contents import verify
from pipeline.cache.digest import file_digest
from pipeline.cache.product import MANIFEST, Damaged, read_stored
from pipeline.config import BuildConfig, load_config
from pipeline.data.cifar import TEST
from pipeline.data.masks import open_for_segmentation
from pipeline.data.open import open_dataset
from pipeline.data.picture_files import picture_files, read_picture
from pipeline.data.split import Split
from pipeline.errors import DataError, PipelineError
from pipeline.known_devices import known_devices
from pipeline.models.checkpoint import read_weights
from pipeline.models.foreign.description import read_foreign
from pipeline.models.keras import read_keras
from pipeline.report.model.build_report import Report
from targets.errors import TargetError
from targets.runtime.bundle.archive import ArchiveError
from targets.runtime.bundle.keyring import KeyringError, parse
from targets.runtime.bundle.signature import PublicKey, SignatureError
from targets.runtime.preprocess import Preprocessing
from tests.pipeline.data.pictures import png, random_pixels, write_folder

READERS: dict[str, Callable[[Path], object]] = {
    "--config": lambda path: load_config(BuildConfig, path, {}),
    "--data": open_dataset,
    "--model": lambda path: read_foreign(path.rename(path.with_suffix(".onnx"))),
    "--checkpoint": read_weights,
    "--checkpoint of Keras": read_keras,
    "report show": Report.load,
    "verify": verify,
    "verify --key": PublicKey.read,
    "--keys": parse,
    "devices": known_devices,
    "merge": lambda path: read_part(part_with(RECORD, path)),
    "an entry of a part": lambda path: read_stored("answer", entry_with(path), None),
    "a pack of images in a folder": lambda path: open_pack(path, "test_jpeg.npz"),
    "a batch of CIFAR-10 in a folder": lambda path: open_pack(path, TEST[0]),
    "an idx file in a folder": lambda path: open_pack(path, "t10k-images-idx3-ubyte"),
    "a labels.csv": lambda path: open_pack(path, "labels.csv"),
}


def put(path: Path, folder: Path, name: str) -> Path:
    """Let a folder have the pipe or the link under a name."""
    folder.mkdir(parents=True)
    path.rename(folder / name)
    return folder


def part_with(name: str, path: Path) -> Path:
    return put(path, path.parent / "part", name)


def entry_with(path: Path) -> Path:
    return put(path, path.parent / "answer" / ("0" * 32), MANIFEST)


def open_pack(path: Path, name: str) -> Any:  # noqa: ANN401 - a split
    folder = put(path, path.parent / "set", name)
    (folder / "classes.txt").write_text("a\nb\n")
    return open_dataset(folder).split("evaluation")


@pytest.mark.parametrize("place", ["/dev/zero", "/proc/kmsg", "a pipe"])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.timeout(30)
def test_it_is_refused_and_not_waited_for(reader: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "given"
    if place == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(place)
    allowed = (PipelineError, TargetError, ArchiveError, SignatureError, KeyringError, Damaged)
    with pytest.raises(allowed):
        READERS[reader](path)


def plant(kind: str, path: Path) -> None:
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(path))  # such an address has 108 bytes at most
    else:
        path.symlink_to(kind)


KINDS = ["a pipe", "a socket", "/dev/zero", "/dev/null"]


def damaged_of(split: Split) -> dict[str, str]:
    found: dict[str, str] = {}
    as_is = Preprocessing(8, 8, 3, fit="pad")
    list(split.batches(as_is, 4, lambda sample, why: found.update({sample.name: why}), damaged_share=1.0))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", ["folders", "labels.csv"])
@pytest.mark.timeout(30)
def test_one_among_pictures_is_counted_as_a_damaged_picture(kind: str, labels: str, tmp_path: Path) -> None:
    names = [f"test/{label}/{n}.png" for label in ("ash", "birch") for n in range(2)]
    pictures = {name: png(picture) for name, picture in zip(names, random_pixels(4), strict=True)}
    if labels == "labels.csv":
        rows = [f"{name},test,{name.split('/')[1]}\n" for name in (*names, "test/ash/9.png")]
        pictures["labels.csv"] = "".join(["path,split,label\n", *rows]).encode()
    folder = write_folder(tmp_path / "set", pictures)
    plant(kind, folder / "test/ash/9.png")
    found = damaged_of(open_dataset(folder).split("evaluation"))
    assert found == {"test/ash/9.png": "it is a pipe, a socket or a device, not a file"}


@pytest.mark.timeout(30)
def test_one_without_a_pictures_name_is_told_as_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = random_pixels(2)
    folder = write_folder(tmp_path / "set", {f"test/{n}/0.png": png(one) for n, one in enumerate(pixels)})
    os.mkfifo(folder / "test/0/control")
    open_dataset(folder)
    assert "1 nameless files that are not pictures" in caplog.text


@pytest.mark.timeout(30)
def test_one_among_masks_leaves_its_picture_out(tmp_path: Path) -> None:
    pixels = random_pixels(2)
    files = {f"test/images/{n}.png": png(one) for n, one in enumerate(pixels)}
    files |= {f"test/masks/{n}.png": png(np.zeros((*pixels[0].shape[:2], 1), np.uint8)) for n in range(2)}
    folder = write_folder(tmp_path / "set", files)
    (folder / "test/masks/1.png").unlink()
    os.mkfifo(folder / "test/masks/1.png")
    split = open_for_segmentation(folder, None, ("a", "b"), file_digest).split("evaluation")
    assert damaged_of(split) == {"test/images/1.png": "it is a pipe, a socket or a device, not a file"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(30)
def test_one_in_a_folder_of_asked_pictures_is_refused(kind: str, tmp_path: Path) -> None:
    plant(kind, tmp_path / "9.png")
    with pytest.raises(DataError, match=r"9\.png cannot be read"):
        [read_picture(one, 3) for one in picture_files([tmp_path])]
