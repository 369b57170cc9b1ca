"""What messages about paths advise."""

from pathlib import Path

import pytest

from pipeline.data.picture_files import picture_files
from tests.pipeline.advice.followed import check_advice, check_other_words


def test_another_name_for_a_private_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "is a name for the public key. Give another, such as release.key"
    check_other_words(
        words, ["keygen", tmp_path / "release.pub"], ["keygen", tmp_path / "release.key"], capsys
    )


def test_pictures_in_an_empty_folder(tmp_path: Path) -> None:
    words = "has no files. Give pictures, or a folder of them."
    check_advice(words, lambda: list(picture_files([tmp_path])), (tmp_path / "a.png").touch)
