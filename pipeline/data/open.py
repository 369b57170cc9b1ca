"""Recognises the format of a data set."""

from pathlib import Path

from pipeline.cache.digest import file_digest, value_digest
from pipeline.data import cifar, folder, idx, packed
from pipeline.data.dataset import Dataset
from pipeline.data.embedded import NAMED
from pipeline.data.tar_shards import find_shards, open_shards, shard_files
from pipeline.data.tree import FileDigest, FolderTree, ZipTree
from pipeline.errors import DataError, NoSuchDataError, UsageError, listed
from pipeline.reading.plain_file import is_plain, is_tar, plain_chunks
from pipeline.reading.zip_file import is_zip

UNDERSTOOD = (
    "a folder of idx files (train-images-idx3-ubyte, plain or .gz), of <split>_jpeg.npz packs, or of"
    " CIFAR-10's python batches; a folder or .zip with labels.csv or with pictures in <split>/<class>/, where"
    " <split> is train, calibration, test or val, in <class>/<split>/, or in <class>/; tar shards with x.jpg"
    " beside x.cls or x.json, such as train-{000000..000012}.tar"
)

PACKED = (b"7z\xbc\xaf", b"Rar!", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""First bytes of archives by 7z, rar, gzip, bzip2, xz and zstd."""


def open_dataset(
    location: str | Path, labels: str | None = None, digest: FileDigest = file_digest
) -> Dataset:
    """Open the data set at a path, or the embedded one by its name, `fashion-mnist`.

    labels chooses among the label columns of a labels.csv. digest returns the sha256 of a picture's file, in
    hex; with `RememberedDigests`, unchanged files are not read again. Raises DataError, saying what was found
    and which formats are supported.
    """
    path = Path(location)
    named = NAMED.get(str(location))
    if named is not None and not path.exists():
        path = named
    if (shards := find_shards(path)) is not None:
        _refuse_choice(path, labels)
        return open_shards(shards)
    dataset = _of_folder(path, labels, digest) if path.is_dir() else _of_file(path, labels)
    if dataset is None:
        raise NoSuchDataError(
            f"{path} is not a data set that edgec can read: {_found(path)}. Put the pictures of each class"
            f" into a folder named like it. Supported: {UNDERSTOOD}."
        )
    return dataset


def training_digest(dataset: Dataset, digest: FileDigest) -> str:
    """Return the SHA-256 over the training images, or over the files that they are packed in.

    `digest` is as for `open_dataset`.
    """
    place = Path(dataset.location)
    if shards := shard_files(dataset.location):
        return value_digest({str(path): digest(path) for path in shards})
    if place.is_file():
        return digest(place)
    if idx.find_splits(place) or packed.find_packs(place) or cifar.find_batches(place):
        files = sorted(path for path in place.iterdir() if path.is_file())
        return value_digest({path.name: digest(path) for path in files})
    return dataset.training_digest()


def _of_file(path: Path, labels: str | None) -> Dataset | None:
    if not path.exists():
        raise NoSuchDataError(f"There is no data set {path}. Give {UNDERSTOOD}; or {', '.join(NAMED)}.")
    if path.is_file() and (path.suffix.lower() == ".zip" or is_zip(path)):
        return folder.open_tree(ZipTree(path), labels)
    if not is_plain(path) and not path.is_dir():
        raise DataError(f"{path} is a pipe or a device, not a file or a folder. Give {UNDERSTOOD}.")
    if path.is_file() and (is_tar(path) or _begin(path).startswith(PACKED)):
        raise DataError(f"{path} is an archive that edgec does not read into. Unpack it and give the folder.")
    return None


def _begin(path: Path) -> bytes:
    return next(plain_chunks(path), b"")[:8]


def _of_folder(path: Path, labels: str | None, digest: FileDigest) -> Dataset | None:
    batches = cifar.find_batches(path)
    if idx.find_splits(path):
        found = idx.open_idx(path)
    elif packed.find_packs(path):
        found = packed.open_packs(path)
    elif batches is not None:
        found = cifar.open_batches(batches)
    else:
        return folder.open_tree(FolderTree(path, digest), labels)
    _refuse_choice(path, labels)
    return found


def _refuse_choice(path: Path, labels: str | None) -> None:
    if labels is not None:
        raise UsageError(f"{path} has only one kind of labels. Leave out {labels!r}.")


def _found(path: Path) -> str:
    """Describe briefly what is at a path."""
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
    elif is_zip(path):
        names = ZipTree(path).top()
    else:
        return f"a file of {path.stat().st_size:,} bytes"
    return f"it holds {listed(names) or 'nothing'}"
