"""Pictures that are given one by one, or as folders of them."""

from pathlib import Path

import pytest

from pipeline.data.picture_files import picture_files, read_picture
from pipeline.errors import NoSuchDataError


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    files = [tmp_path / "a.png", tmp_path / "deep" / "b.png"]
    for file in files:
        file.touch()
    assert list(picture_files([files[0], tmp_path])) == [files[0], *files]


def test_no_picture_at_a_path_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(NoSuchDataError, match=r"There is no picture .*a\.png\. Give its file"):
        read_picture(tmp_path / "a.png", 3)
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(NoSuchDataError, match=r"Give another, such as a PNG or JPEG file"):
        read_picture(tmp_path / "a.png", 3)
