"""Labelled pictures in tar shards, as WebDataset writes them: `x.jpg` beside `x.cls` or `x.json`.

The shards lie in folders of splits, or name their split, as train-000000.tar does. They are not unpacked to
the disk: a first pass reads headers and labels, and pictures are read where they lie. Records keep their
order, by shard and in it.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.arrangement import split_of
from pipeline.data.class_folders import SUFFIXES, TEST_SHARE
from pipeline.data.dataset import Dataset
from pipeline.data.shard_labels import Label, classes_of, read_label
from pipeline.data.split import DAMAGED_SHARE, ONE_OF
from pipeline.data.tar_members import DAMAGE, TarMember, Unpacked, is_shard, members, unpacked
from pipeline.errors import DataError, NoSuchDataError, listed
from pipeline.reading.reading_limits import PICTURE_BYTES, TAR_LABEL_BYTES, TAR_SHARDS
from targets.runtime.preprocess import ImageError, decode


class ShardRecord(NamedTuple):
    """A picture, and the shard that it lies in."""

    shard: Path
    picture: TarMember
    label: Label


@dataclass(frozen=True)
class Shards:
    """Shards by split; without names of splits there is one, and the digests of pictures divide them."""

    location: str
    beside: Path
    by_split: Mapping[str, tuple[Path, ...]]


def find_shards(location: Path) -> Shards | None:
    """Return the shards in a folder, or those that a name such as train-{000000..000012}.tar means.

    None for a folder that has other folders too. Raises NoSuchDataError naming shards that are not there.
    """
    if location.is_dir():
        folders = [one for one in sorted(location.iterdir()) if one.is_dir() and one.name[0] not in "._@"]
        inside = {one: sorted(filter(is_shard, one.iterdir())) for one in folders if split_of(one.name)}
        if len(inside) < len(folders) or any(any(map(Path.is_dir, one.iterdir())) for one in inside):
            return None
        paths = [path for found in inside.values() for path in found]
        paths += sorted(path for path in location.iterdir() if is_shard(path))
        beside = location
    else:
        paths, beside = _expanded(location), location.parent
        missing = [str(path) for path in paths if not path.is_file()]
        if missing and (len(paths) > 1 or "{" in location.name):
            raise NoSuchDataError(f"{len(missing)} of {len(paths)} shards do not exist: {listed(missing)}.")
        if missing or not all(map(is_shard, paths)):
            return None
    by_split: dict[str, list[Path]] = {}
    for path in paths:
        by_split.setdefault(_split(path, location), []).append(path)
    if len(by_split) > 1 and "" in by_split:
        raise DataError(
            f"{location}: some shards are named after no split, such as {by_split[''][0].name}. Put the"
            " shards of each split into a folder: train, val."
        )
    return Shards(str(location), beside, {s: tuple(p) for s, p in by_split.items()}) if paths else None


def open_shards(shards: Shards) -> Dataset:
    """Open the shards: one pass over headers and labels. Raises DataError, naming a shard that is damaged.

    Labels that are numbers are the places of the network's outputs; classes.txt beside the shards names them.
    Pictures without a label are named and left out, up to 1 %.
    """
    records = {split: _records(paths, shards.location) for split, paths in shards.by_split.items()}
    everything = [record for found in records.values() for record in found]
    if not everything:
        raise DataError(
            f"{shards.location} has no pictures with labels in its tar files. Supported is WebDataset's form:"
            " x.jpg beside x.cls (a number) or x.json (label); of another tar, unpack it and give the folder."
        )
    labels = {record.label for record in everything}
    classes, place = classes_of(labels, shards.location, shards.beside)
    if "" in records:
        records = _divided(records[""], shards.location)
    stored = {split: partial(_images, found, place) for split, found in records.items()}
    return Dataset(shards.location, classes, stored)


def shard_files(location: str) -> tuple[Path, ...]:
    """Return all shards of a data set; none if it is of another kind."""
    found = find_shards(Path(location))
    return () if found is None else tuple(path for paths in found.by_split.values() for path in paths)


def _expanded(location: Path) -> list[Path]:
    """Return the paths that braces in a name stand for: {000..012} numbers, {a,b} words."""
    parts = re.split(r"\{([^{}]*)\}", location.name)
    ways: list[list[str]] = []
    for number, part in enumerate(parts):
        span = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", part) if number % 2 else None
        if span is not None:
            first, last = int(span[1]), int(span[2])
            numbers = range(first, min(last, first + TAR_SHARDS) + 1)  # one too many is refused below
            ways.append([str(one).zfill(len(span[1])) for one in numbers])
        else:
            ways.append(part.split(",") if number % 2 else [part])
    if np.prod([len(way) for way in ways], dtype=float) > TAR_SHARDS:
        raise DataError(f"{location} means more than {TAR_SHARDS:,} shards. Give fewer.")
    return [location.with_name("".join(words)) for words in product(*ways)]


def _split(path: Path, location: Path) -> str:
    """Return the split that a shard's folder, or else its name, says; empty if neither does."""
    if location.is_dir() and path.parent != location:
        return split_of(path.parent.name) or ""
    return next((split for word in re.split(r"[\W_\d]+", path.name) if (split := split_of(word))), "")


def _records(paths: Sequence[Path], location: str) -> list[ShardRecord]:
    """Return the labelled pictures of shards, in order, and name those without a label."""
    found: list[ShardRecord] = []
    unlabelled: list[str] = []
    for path in paths:
        seen: list[TarMember] = []
        try:
            with unpacked(path) as tar:
                found += _in_shard(path, tar, seen, unlabelled)
        except DAMAGE as error:
            after = f" after {seen[-1].name}" if seen else ""
            raise DataError(f"The shard {path} is damaged{after}: {error}. Copy it again.") from error
        except OSError as error:
            raise DataError(f"The shard {path} cannot be read: {error.strerror}.") from error
    count = len(found) + len(unlabelled)
    if len(unlabelled) > max(DAMAGED_SHARE * count, count >= ONE_OF):
        raise DataError(
            f"{location}: {len(unlabelled)} of {count} pictures have no label that can be read:"
            f" {listed(unlabelled)}. Beside x.jpg write x.cls with the number of its class,"
            " or x.json with label."
        )
    if unlabelled:
        logging.getLogger("edgec.data").warning("Left out, without a label: %s", listed(unlabelled))
    return found


def _in_shard(
    path: Path, tar: Unpacked, seen: list[TarMember], unlabelled: list[str]
) -> Iterator[ShardRecord]:
    """Yield a shard's labelled pictures; add all its members to `seen`, other pictures to `unlabelled`."""
    parts: dict[str, dict[str, TarMember]] = {}
    labels: dict[str, Label | None] = {}
    for member in members(tar):
        seen.append(member)
        place = PurePosixPath(member.name)
        stem, _, ending = place.name.partition(".")
        key = str(place.with_name(stem)) if stem else ""
        if not key:
            continue  # a hidden file
        if ending.lower() in parts.setdefault(key, {}):
            raise ValueError(f"{member.name} is in it twice")
        parts[key][ending.lower()] = member
        if ending.lower() in ("cls", "json"):
            read = None if member.size > TAR_LABEL_BYTES else tar.read(member.offset, member.size)
            label = read_label(ending.lower(), read)
            labels[key] = labels.get(key) if ending.lower() == "json" and labels.get(key) else label
    tar.check_end()
    for key, by_ending in parts.items():
        pictures = [
            one for ending, one in by_ending.items() if PurePosixPath(f"x.{ending}").suffix in SUFFIXES
        ]
        if len(pictures) > 1:
            raise ValueError(f"{key} has {len(pictures)} pictures: {listed([p.name for p in pictures])}")
        if pictures and (label := labels.get(key)) is not None:
            yield ShardRecord(path, pictures[0], label)
        elif pictures:
            unlabelled.append(f"{path.name}/{pictures[0].name}")


def _divided(records: Sequence[ShardRecord], location: str) -> dict[str, list[ShardRecord]]:
    """Return training and test pictures by their digests, as of folders without splits."""
    images = _images(records, {record.label: 0 for record in records})
    tests = [int(images.digest(i)[:8], 16) < TEST_SHARE * 2**32 for i in range(len(records))]
    logging.getLogger("edgec.data").warning(
        "%s has no shards called train and test: %d of its pictures are to train with and %d to test with, by"
        " the digests of their files",
        location,
        tests.count(False),
        tests.count(True),
    )
    return {
        name: [record for record, test in zip(records, tests, strict=True) if test == (name == "test")]
        for name in ("train", "test")
    }


def _images(records: Sequence[ShardRecord], place: Mapping[Label, int]) -> "ShardImages":
    return ShardImages(records, np.array([place[record.label] for record in records], np.int64))


class ShardImages:
    """Pictures that are members of tar files; one shard is open at a time."""

    def __init__(self, records: Sequence[ShardRecord], labels: NDArray[np.int64]) -> None:
        self._records = tuple(records)
        self.labels = labels
        self._digests: dict[int, str] = {}
        self._open: tuple[Path, Unpacked] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to another process: all but the open file."""
        return vars(self) | {"_open": None}

    def name(self, index: int) -> str:
        """Return shard/member."""
        record = self._records[index]
        return f"{record.shard.name}/{record.picture.name}"

    def digest(self, index: int) -> str:
        """Return the sha256 of the picture's file; for one that cannot be read, of its name."""
        if index not in self._digests:
            try:
                content = self._read(index)
            except ImageError:
                content = f"damaged {self.name(index)}".encode()
            self._digests[index] = hashlib.sha256(content).hexdigest()
        return self._digests[index]

    def decode(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Return the decoded picture. Raises ImageError, and DataError if the shard was changed meanwhile."""
        return decode(self.encoded(index), channels)

    def encoded(self, index: int) -> bytes:
        """Return the picture's file. Raises ImageError, and DataError if the shard was changed meanwhile."""
        content = self._read(index)
        found = hashlib.sha256(content).hexdigest()
        if found != self._digests.setdefault(index, found):
            raise DataError(
                f"{self.name(index)} was changed while the build was reading it. Build again when it stays as"
                " it is."
            )
        return content

    def _read(self, index: int) -> bytes:
        shard, picture, _ = self._records[index]
        if picture.size > PICTURE_BYTES:
            raise ImageError(f"the file is longer than {PICTURE_BYTES:,} bytes")
        try:
            if self._open is None or self._open[0] != shard:
                if self._open is not None:
                    self._open[1].close()
                self._open = shard, Unpacked(shard)
            return self._open[1].read(picture.offset, picture.size)
        except (*DAMAGE, OSError) as error:
            raise ImageError(f"the shard {shard} is damaged there: {error}") from error
