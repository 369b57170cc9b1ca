"""Tar shards in WebDataset's form give the records that the same pictures give in folders."""

import gzip
import io
import json
import os
import pickle
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.data.dataset import Dataset
from pipeline.data.numbered_classes import in_order
from pipeline.data.open import open_dataset, training_digest
from pipeline.errors import DataError, NoSuchDataError, UsageError
from targets.runtime.preprocess import ImageError
from tests.pipeline.data.pictures import as_records, class_folders, tar, write_folder, write_shards

FILES = class_folders(train=30, val=11)
RECORDS = as_records(FILES)
CLASSES = {"classes.txt": b"ash\nbirch\n"}


def part(split: str, start: int = 0, stop: int | None = None) -> dict[str, bytes]:
    chosen = [name for name in RECORDS if name.startswith(split)]
    return {name: RECORDS[name] for name in chosen[start:stop]}


SHARDS: dict[str, Mapping[str, bytes]] = {
    "train-000000.tar": part("train", 0, 22),
    "train-000001.tar": part("train", 22),
    "val-000000.tar": part("val", 0, 10),
    "val-000001.tar": part("val", 10),
}
LAYOUTS: dict[str, dict[str, Mapping[str, bytes]]] = {
    "names of splits": SHARDS,
    "packed": {f"{name}.gz": files for name, files in SHARDS.items()},
    "folders of splits": {
        f"{name.partition('-')[0]}/shard-{name.partition('-')[2]}": files for name, files in SHARDS.items()
    },
}


def shown(dataset: Dataset, role: str) -> str:
    splits = {role: dataset.split(role) for role in ("train", "calibration", "evaluation")}
    return splits[role].digest


@pytest.mark.parametrize("shards", LAYOUTS.values(), ids=LAYOUTS)
def test_the_records_are_those_of_the_same_pictures_in_folders(
    shards: dict[str, Mapping[str, bytes]], tmp_path: Path
) -> None:
    folder = open_dataset(write_folder(tmp_path / "folder", FILES))
    place = write_folder(write_shards(tmp_path / "shards", shards), CLASSES)
    dataset = open_dataset(place)
    assert dataset.classes == folder.classes
    for role in ("train", "calibration", "evaluation"):
        assert shown(dataset, role) == shown(folder, role), role
    images = dataset.split("evaluation").images
    expected = folder.split("evaluation").images
    for index in (10, 0, 5):  # in any order, also where the tar is packed
        assert images.decode(index, 3).tobytes() == expected.decode(index, 3).tobytes()
    before = training_digest(dataset, lambda path: str(zlib.crc32(path.read_bytes())))
    next(iter(sorted(place.rglob("*train*" if "train" in str(shards) else "*")))).touch()
    assert before == training_digest(dataset, lambda path: str(zlib.crc32(path.read_bytes())))


def test_braces_stand_for_shards_and_missing_ones_are_named(tmp_path: Path) -> None:
    write_folder(write_shards(tmp_path, SHARDS), CLASSES)
    assert len(open_dataset(tmp_path / "val-{000000..000001}.tar").split("evaluation")) == 11
    both = open_dataset(tmp_path / "{train,val}-{000000..000001}.tar")
    assert len(both.split("train")) + len(both.split("calibration")) == 30
    assert len(open_dataset(tmp_path / "val-000000.tar").split("evaluation")) == 5
    with pytest.raises(NoSuchDataError, match=r"2 of 4 shards do not exist: .*val-000002\.tar.*3\.tar"):
        open_dataset(tmp_path / "val-{000000..000003}.tar")
    with pytest.raises(DataError, match="more than 100,000 shards"):
        open_dataset(tmp_path / "val-{0..999}{0..999}.tar")
    with pytest.raises(UsageError, match="one kind of labels"):
        open_dataset(tmp_path, labels="fine")


def test_shards_without_names_of_splits_are_divided_as_folders_are(tmp_path: Path) -> None:
    names = {name.removeprefix("train/"): one for name, one in FILES.items() if name.startswith("train")}
    folder = open_dataset(write_folder(tmp_path / "folder", names))
    shards = write_shards(tmp_path / "shards", {"shard-0.tar": part("train")})
    assert shown(open_dataset(write_folder(shards, CLASSES)), "evaluation") == shown(folder, "evaluation")


@pytest.mark.parametrize(
    ("one", "other", "classes"),
    [
        ({"label": 0}, {"label": 3}, ("0", "1", "2", "3")),
        ({"label": "cat"}, {"label": "ant"}, ("ant", "cat")),
        ({"cls": 1, "class_name": "ant"}, {"cls": 0, "class_name": "cat"}, ("cat", "ant")),
        (2, {"cls": 0}, ("0", "1", "2")),
    ],
)
def test_json_gives_numbers_names_or_both(
    one: object, other: object, classes: tuple[str, ...], tmp_path: Path
) -> None:
    pictures = [content for name, content in FILES.items() if name.startswith("val")]
    files = {
        "a.png": pictures[0],
        "a.json": json.dumps(one).encode(),
        "b.png": pictures[1],
        "b.json": json.dumps(other).encode(),
        "b.txt": b"a caption",
    }
    dataset = open_dataset(write_shards(tmp_path, {"val.tar": files}))
    assert dataset.classes == classes
    assert len(dataset.split("evaluation")) == 2


def test_numbers_of_imagenet_get_its_names(tmp_path: Path) -> None:
    dataset = in_order(open_dataset(write_shards(tmp_path, {"val.tar": part("val")})), "imagenet")
    assert (len(dataset.classes), dataset.classes[:2]) == (1000, ("tench", "goldfish"))


def test_damaged_pictures_and_pictures_without_labels_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = part("val")
    files["val/ash/000.png"] = b"\x89PNG no picture"
    files.pop("val/birch/001.cls")
    dataset = open_dataset(write_shards(tmp_path, {"val-0.tar": files}))
    assert "Left out, without a label: val-0.tar/val/birch/001.png" in caplog.text
    split = dataset.split("evaluation")
    assert len(split) == 10
    with pytest.raises(ImageError):
        split.images.decode(0, 3)
    assert split.images.name(0) == "val-0.tar/val/ash/000.png"
    files.pop("val/birch/003.cls")
    files["val/birch/005.cls"] = b"birch"
    with pytest.raises(DataError, match=r"3 of 11 pictures have no label.*val-0\.tar/val/birch/001\.png"):
        open_dataset(write_shards(tmp_path, {"val-0.tar": files}))


WHOLE = tar(part("val"))
ONE_LABEL = tar({"a.cls": b"1"})


def header(size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    made = tarfile.TarInfo("x.png")
    made.size, made.type, made.linkname = size, kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    return made.tobuf(tarfile.GNU_FORMAT)


DAMAGED = {
    "cut": WHOLE[:3000],
    "flipped": WHOLE[:30] + b"\xff" + WHOLE[31:],
    "larger than the file": header(1 << 40) + WHOLE,
    "negative size": header(-600) + WHOLE,
    "endless name": header(1 << 30, tarfile.GNUTYPE_LONGNAME) + WHOLE,
    "link": header(kind=tarfile.SYMTYPE) + WHOLE,
    "twice": ONE_LABEL[:1024] + ONE_LABEL,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_shard_is_an_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "val-0.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"The shard .*val-0\.tar is damaged.*Copy it again\."):
        open_dataset(tmp_path)


@pytest.mark.parametrize("change", ["cut", "flipped", "bomb"])
def test_a_damaged_packed_shard_is_an_error_too(change: str, tmp_path: Path) -> None:
    packed = gzip.compress(tar(part("val")))
    if change == "bomb":
        packed = gzip.compress(tar({"x.bin": bytes(70 << 20)}))
    elif change == "cut":
        packed = packed[:-100]
    else:
        packed = packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]
    (tmp_path / "val-0.tar.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"The shard .*val-0\.tar\.gz is damaged"):
        open_dataset(tmp_path)


def test_every_form_of_tar_is_read_with_long_and_foreign_names(tmp_path: Path) -> None:
    picture = FILES["val/ash/000.png"]
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        name = "ä" * 40 if form == tarfile.USTAR_FORMAT else "ä/" * 150 + "x"
        (tmp_path / "val.tar").write_bytes(tar({f"{name}.png": picture, f"{name}.cls": b"0"}, form))
        images = open_dataset(tmp_path / "val.tar").split("evaluation").images
        assert images.name(0) == f"val.tar/{name}.png"
        assert images.encoded(0) == picture


@pytest.mark.parametrize(
    ("shards", "beside", "told"),
    [
        ({"val.tar": {"a.txt": b"x"}}, {}, r"no pictures with labels in its tar files.*x\.jpg beside x\.cls"),
        ({"val.tar": part("val")}, {"classes.txt": b"ash\n"}, "labels run to 1; there are 1 names"),
        ({"val.tar": part("val"), "other.tar": part("train")}, {}, r"no split, such as other\.tar"),
        (
            {"val.tar": {"a.png": b"1", "a.json": b'{"label": "oak"}'}},
            CLASSES,
            r"classes\.txt does not have these classes.*oak",
        ),
        (
            {"val.tar": {"a.png": b"1", "a.json": b'{"label": "oak"}', "b.png": b"2", "b.cls": b"0"}},
            {},
            "some labels are numbers and some are names",
        ),
        (
            {"val.tar": {n + e: c for n, k in (("a", 0), ("b", 1)) for e, c in (
                (".png", b"1"), (".json", json.dumps({"cls": k, "class_name": "oak"}).encode()))}},
            {},
            "a class number has two names, or a name two numbers",
        ),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(
    shards: dict[str, Mapping[str, bytes]], beside: dict[str, bytes], told: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told):
        open_dataset(write_folder(write_shards(tmp_path / "data", shards), beside))


def test_a_shard_that_changes_during_a_build_is_an_error(tmp_path: Path) -> None:
    images = open_dataset(write_shards(tmp_path, {"val.tar": part("val")})).split("evaluation").images
    images.digest(0)
    content = bytearray((tmp_path / "val.tar").read_bytes())
    content[content.index(FILES["val/ash/000.png"]) + 60] ^= 1
    (tmp_path / "val.tar").write_bytes(content)
    images = pickle.loads(pickle.dumps(images))  # without what the open file has read ahead
    with pytest.raises(DataError, match="was changed while the build was reading it"):
        images.encoded(0)


def test_a_pipe_among_shards_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "val-0.tar")
    with pytest.raises(DataError, match="is a pipe or a device"):
        open_dataset(tmp_path)


def test_memory_is_bounded_by_the_names_not_by_the_pictures(tmp_path: Path) -> None:
    """Headers and labels are read, pictures are passed over: a shard with a hole opens at once."""
    header = tarfile.TarInfo("a.png")
    header.size = 8 << 30
    with (tmp_path / "val.tar").open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.seek(header.size, io.SEEK_CUR)
        file.write(tar({"a.cls": b"0"}))
    images = open_dataset(tmp_path).split("evaluation").images
    with pytest.raises(ImageError, match="longer than 67,108,864 bytes"):
        images.encoded(0)
