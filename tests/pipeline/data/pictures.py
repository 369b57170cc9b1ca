"""Small data sets in every format, drawn from a seed."""

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def random_pixels(count: int, seed: int = 0, side: int = 8, channels: int = 3) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, channels), np.uint8)


def jpeg(picture: Pixels) -> bytes:
    done, encoded = cv2.imencode(".jpg", picture[:, :, ::-1])
    assert done
    return encoded.tobytes()


def png(picture: Pixels) -> bytes:
    done, encoded = cv2.imencode(".png", picture[:, :, ::-1])
    assert done
    return encoded.tobytes()


def idx_bytes(array: Pixels) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx_set(folder: Path, **counts: int) -> None:
    """Write plain idx files, splits named by their files' beginnings; labels go round ten classes."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (prefix, count) in enumerate(counts.items()):
        pixels = random_pixels(count, seed, channels=1)[:, :, :, 0]
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(count, dtype=np.uint8) % 10))


def write_pack(path: Path, files: list[bytes], labels: list[int]) -> None:
    offsets = np.cumsum([0, *map(len, files)], dtype=np.int64)
    np.savez(
        path,
        data=np.frombuffer(b"".join(files), np.uint8),
        offsets=offsets,
        labels=np.array(labels, np.uint8),
    )


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def class_folders(**counts: int) -> dict[str, bytes]:
    """Return pictures in <split>/<class>/ for two classes: `counts` for each split, all different."""
    files = {}
    for seed, (split, count) in enumerate(counts.items()):
        for n, picture in enumerate(random_pixels(count, seed)):
            files[f"{split}/{('ash', 'birch')[n % 2]}/{n:03}.png"] = png(picture)
    return files


def as_records(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return pictures in <split>/<class>/ as WebDataset has them: beside each its class's number."""
    classes = sorted({name.split("/")[1] for name in files})
    labels = {
        f"{PurePosixPath(name).with_suffix('.cls')}": str(classes.index(name.split("/")[1])).encode()
        for name in files
    }
    return dict(sorted((dict(files) | labels).items()))


def tar(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


def write_shards(folder: Path, shards: Mapping[str, Mapping[str, bytes]]) -> Path:
    """Write tar files by name; one called .gz is packed."""
    packed = {
        name: gzip.compress(tar(files)) if name.endswith("gz") else tar(files)
        for name, files in shards.items()
    }
    return write_folder(folder, packed)
