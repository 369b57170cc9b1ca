"""Pictures that are given one by one, or as folders of them."""

from pathlib import Path

import pytest

from pipeline.data.picture_files import picture_files
from pipeline.errors import NoSuchDataError


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    files = [tmp_path / "a.png", tmp_path / "deep" / "b.png"]
    for file in files:
        file.touch()
    assert list(picture_files([files[0], tmp_path])) == [files[0], *files]


def test_a_folder_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSuchDataError, match="has no files"):
        list(picture_files([tmp_path]))
