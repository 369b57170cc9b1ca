"""Advice about tar shards, followed: each error ends once what it says is done."""

import json
import os
from pathlib import Path

import pytest

from pipeline.data import tar_shards
from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.pipeline.data.pictures import as_records, class_folders, write_folder, write_shards

PICTURES = list(class_folders(val=2).values())
SOUND = as_records(class_folders(val=2))


def labelled(*labels: object) -> dict[str, bytes]:
    """Pictures, each with a label in x.json."""
    files = {f"{n}.png": picture for n, picture in enumerate(PICTURES)}
    return files | {f"{n}.json": json.dumps(label).encode() for n, label in enumerate(labels)}


def refused(folder: Path, advice: str) -> None:
    with pytest.raises(DataError) as error:
        open_dataset(folder)
    assert advice in str(error.value)


def test_labels_of_one_kind_are_read(tmp_path: Path) -> None:
    refused(
        write_shards(tmp_path, {"val.tar": labelled(0, {"label": "oak"})}),
        "some labels are numbers and some are names. Write one kind.",
    )
    assert open_dataset(write_shards(tmp_path, {"val.tar": labelled(0, 1)})).classes == ("0", "1")


def test_each_number_with_one_name_is_read(tmp_path: Path) -> None:
    twice = labelled({"cls": 0, "class_name": "oak"}, {"cls": 1, "class_name": "oak"})
    refused(
        write_shards(tmp_path, {"val.tar": twice}),
        "a class number has two names, or a name two numbers. Give each one.",
    )
    once = labelled({"cls": 0, "class_name": "oak"}, {"cls": 1, "class_name": "ash"})
    assert open_dataset(write_shards(tmp_path, {"val.tar": once})).classes == ("oak", "ash")


def test_a_list_that_names_each_class_is_read(tmp_path: Path) -> None:
    write_folder(write_shards(tmp_path, {"val.tar": SOUND}), {"classes.txt": b"ash\n"})
    refused(tmp_path, "Name each class, from number 0 on, in classes.txt beside the shards.")
    write_folder(tmp_path, {"classes.txt": b"ash\nbirch\n"})
    assert open_dataset(tmp_path).classes == ("ash", "birch")


@pytest.mark.parametrize("removed", [False, True])
def test_a_list_that_was_corrected_or_removed_is_no_error(removed: bool, tmp_path: Path) -> None:
    shards = write_shards(tmp_path, {"val.tar": labelled({"label": "oak"}, {"label": "ash"})})
    refused(
        write_folder(shards, {"classes.txt": b"ash\nelm\n"}),
        "classes.txt does not have these classes of the labels, or not at their numbers: oak. Correct it, or"
        " remove it.",
    )
    if removed:
        (tmp_path / "classes.txt").unlink()
        assert open_dataset(tmp_path).classes == ("ash", "oak")
    else:
        write_folder(tmp_path, {"classes.txt": b"oak\nash\n"})
        assert open_dataset(tmp_path).classes == ("oak", "ash")


def test_a_tar_instead_of_a_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "val.tar")
    refused(tmp_path, "is a pipe or a device, not a file. Give a tar.")
    (tmp_path / "val.tar").unlink()
    assert len(open_dataset(write_shards(tmp_path, {"val.tar": SOUND})).split("evaluation")) == 2


def test_folders_of_splits_tell_which_shard_is_which(tmp_path: Path) -> None:
    write_shards(tmp_path, {"val.tar": SOUND, "more.tar": SOUND})
    refused(tmp_path, "Put the shards of each split into a folder: train, val.")
    for name, split in (("val.tar", "val"), ("more.tar", "train")):
        (tmp_path / split).mkdir()
        (tmp_path / name).rename(tmp_path / split / name)
    assert len(open_dataset(tmp_path).split("evaluation")) == 2


@pytest.mark.parametrize("name", ["val-{0..2}.tar", "val-{0,1,2}{,}.tar"])
def test_fewer_shards_may_be_meant(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shards(tmp_path, {"val-0.tar": SOUND})
    monkeypatch.setattr(tar_shards, "TAR_SHARDS", 2)
    refused(tmp_path / name, " shards. Give fewer.")
    assert len(open_dataset(tmp_path / "val-{0..0}.tar").split("evaluation")) == 2
