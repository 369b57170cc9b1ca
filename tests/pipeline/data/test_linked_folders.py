"""Links between folders: the order of the file system never decides which class gets a picture."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.pipeline.data.pictures import class_folders, write_folder


@pytest.fixture(params=["forwards", "backwards"])
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file system list files in either order."""
    scan = os.scandir

    @contextmanager
    def sorted_scan(place: Path) -> Iterator[list[os.DirEntry[str]]]:
        with scan(place) as entries:
            yield sorted(entries, key=lambda one: one.name, reverse=request.param == "backwards")

    monkeypatch.setattr("pipeline.data.tree.os.scandir", sorted_scan)


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("name", ["aspen", "willow"])
def test_a_class_that_is_a_link_to_another_is_refused(name: str, tmp_path: Path) -> None:
    write_folder(tmp_path, class_folders(test=4))
    (tmp_path / "test" / name).symlink_to("ash")
    with pytest.raises(DataError, match=rf"test/ash and test/{name} are one folder, by a link"):
        open_dataset(tmp_path)


def test_it_is_also_refused_where_classes_have_no_splits(tmp_path: Path) -> None:
    write_folder(tmp_path, {name.partition("/")[2]: data for name, data in class_folders(test=8).items()})
    (tmp_path / "willow").symlink_to("ash")
    with pytest.raises(DataError, match=r"ash and willow are one folder"):
        open_dataset(tmp_path)


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("name", ["0", "zz"])
def test_a_link_inside_a_class_to_another_class_adds_no_pictures_and_is_named(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(tmp_path, class_folders(test=4))
    (tmp_path / "test" / "ash" / name).symlink_to(tmp_path / "test" / "birch")
    with caplog.at_level(logging.WARNING):
        found = open_dataset(tmp_path).split("evaluation")
    assert found.labels.tolist().count(0) == found.labels.tolist().count(1) == 2
    assert f"Left out links to folders that are read at their own place: test/ash/{name}" in caplog.text


def test_a_link_to_what_is_around_a_class_brings_no_other_split_into_it(tmp_path: Path) -> None:
    write_folder(tmp_path, class_folders(train=6, test=4))
    (tmp_path / "test" / "ash" / "up").symlink_to(tmp_path)
    assert len(open_dataset(tmp_path).split("evaluation")) == 4
