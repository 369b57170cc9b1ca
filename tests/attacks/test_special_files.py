"""No reader waits for a pipe or reads a device to its end, whichever option names it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.build.parts import RECORD, read_part
from pipeline.bundle.contents import verify
from pipeline.cache.product import MANIFEST, Damaged, read_stored
from pipeline.config import BuildConfig, load_config
from pipeline.data.cifar import TEST
from pipeline.data.open import open_dataset
from pipeline.errors import PipelineError
from pipeline.known_devices import known_devices
from pipeline.models.checkpoint import read_weights
from pipeline.models.foreign.description import read_foreign
from pipeline.models.keras import read_keras
from pipeline.report.model.build_report import Report
from targets.errors import TargetError
from targets.runtime.bundle.archive import ArchiveError
from targets.runtime.bundle.keyring import KeyringError, parse
from targets.runtime.bundle.signature import PublicKey, SignatureError

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
