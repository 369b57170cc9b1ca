"""What messages about paths advise."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.data.picture_files import picture_files, read_picture
from tests.pipeline.advice.followed import check_advice, check_other_words


def test_another_name_for_a_private_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "is a name for the public key. Give another, such as release.key"
    check_other_words(
        words, ["keygen", tmp_path / "release.pub"], ["keygen", tmp_path / "release.key"], capsys
    )


def test_pictures_in_an_empty_folder(tmp_path: Path) -> None:
    words = "has no files. Give pictures, or a folder of them."
    check_advice(words, lambda: list(picture_files([tmp_path])), (tmp_path / "a.png").touch)


def test_a_picture_where_nothing_is(tmp_path: Path) -> None:
    place = tmp_path / "a.png"
    gray = np.zeros((4, 4, 3), np.uint8)
    words = f"There is no picture {place}. Give its file."
    check_advice(words, lambda: read_picture(place, 3), lambda: cv2.imwrite(str(place), gray))


def test_a_file_that_is_no_picture(tmp_path: Path) -> None:
    place = tmp_path / "a.png"
    place.write_text("text")
    gray = np.zeros((4, 4, 3), np.uint8)
    words = "Give another, such as a PNG or JPEG file."
    check_advice(words, lambda: read_picture(place, 3), lambda: cv2.imwrite(str(place), gray))


def test_a_file_for_the_folder_of_baselines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    words = "is a file. Give the folder of the baselines with --folder."
    command = ["baseline", "compare", "--folder"]
    check_other_words(words, [*command, tmp_path / "file"], [*command, tmp_path], capsys, code=4)
