"""Files beyond the limits of what reads pictures and their labels."""

import gzip
import struct
import tarfile
from pathlib import Path

import pytest

from pipeline.data import label_table
from pipeline.data.cifar import open_batches
from pipeline.data.imagenet import SOLUTION
from pipeline.data.open import open_dataset
from pipeline.data.picture_files import read_picture
from pipeline.reading import pickle_steps
from targets.runtime.preprocess import decode
from tests.attacks.limits.beyond_limits import (
    BY_BYTES,
    NO_NEST,
    Limits,
    long,
    lowered,
    npy,
    packed,
    sized,
    sound_one,
    zeros,
)
from tests.fuzz.readers import put
from tests.targets.runtime import bomb_pictures as bombs


def evaluated(path: Path) -> object:
    return open_dataset(path.parent).split("evaluation")


def cifar(path: Path) -> object:
    return open_batches(path.parent)


def idx_gz(folder: Path, _: pytest.MonkeyPatch) -> object:
    head = struct.pack(">BBBBIII", 0, 0, 8, 3, 1 << 18, 32, 32)
    put(gzip.compress(head + bytes(1 << 20)), folder / "t10k-images-idx3-ubyte.gz")
    put(struct.pack(">BBBBI", 0, 0, 8, 1, 2) + b"\0\1", folder / "t10k-labels-idx1-ubyte")
    return evaluated(folder / "x")


def packed_shard(folder: Path, _: pytest.MonkeyPatch) -> object:
    long_one = tarfile.TarInfo("a.bin")
    long_one.size = 80 << 20
    with gzip.open(folder / "val.tar.gz", "wb", 1) as file:
        file.write(long_one.tobuf(tarfile.USTAR_FORMAT))
        for _megabyte in range(81):
            file.write(bytes(1 << 20))
    return open_dataset(folder)


def imagenet_list(path: Path) -> object:
    (path.parent / "val").mkdir()
    put(b"x", path.parent / "val" / "ILSVRC2012_val_00000001.JPEG")
    return open_dataset(path.parent)


PICTURES: Limits = {
    "labels": {
        "bytes": sized(evaluated, "labels.csv", (64 << 20) + 1),
        "elements": lowered(label_table, "LABELS_ROWS", 1, sound_one("labels", evaluated, "labels.csv")),
        "depth": NO_NEST,
        "pixels": "its pictures are read like others",
    },
    "picture": {
        "bytes": lambda folder, _: read_picture(long(folder / "x.png", (64 << 20) + 1), 3),
        "elements": lambda _, __: decode(bombs.progressive_jpeg(101), 3),
        "depth": NO_NEST,
        "pixels": lambda _, __: decode(bombs.png(8192, 6145), 3),
    },
    "packed images": {
        "bytes": packed(zeros("data.npy", 128 << 20, npy(128 << 20)), evaluated, "test_jpeg.npz"),
        "elements": BY_BYTES,
        "depth": NO_NEST,
        "pixels": "its pictures are read like others",
    },
    "idx": {
        "bytes": "it is as long as it says, and mapped into memory",
        "elements": BY_BYTES,
        "depth": NO_NEST,
        "pixels": BY_BYTES,
    },
    "shard": {
        "bytes": "its pictures and labels are read one by one",
        "elements": BY_BYTES,
        "depth": "a label that is nested counts as none: tests/attacks/test_claimed_sizes.py",
        "pixels": "its pictures are read like others",
    },
    "packed shard": {
        "bytes": packed_shard,
        "elements": BY_BYTES,
        "depth": "as in one that is not packed",
        "pixels": "its pictures are read like others",
    },
    "ImageNet's list": {
        "bytes": sized(imagenet_list, f"imagenet/{SOLUTION}", (64 << 20) + 1),
        "elements": BY_BYTES,
        "depth": NO_NEST,
        "pixels": "its pictures are read like others",
    },
    "gzipped idx": {"bytes": idx_gz, "elements": BY_BYTES, "depth": NO_NEST, "pixels": BY_BYTES},
    "batch of CIFAR-10": {
        "bytes": sized(cifar, "batches.meta", (64 << 20) + 1),
        "elements": lowered(
            pickle_steps, "PICKLE_STEPS", 5, sound_one("batch of CIFAR-10", cifar, "batches.meta")
        ),
        "depth": "its unpickler does not call itself",
        "pixels": "each has 32 x 32",
    },
}
