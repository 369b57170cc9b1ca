"""Pictures that are given one by one, or as folders of them."""

from pathlib import Path

from pipeline.data.picture_files import picture_files


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    files = [tmp_path / "a.png", tmp_path / "deep" / "b.png"]
    for file in files:
        file.touch()
    assert list(picture_files([files[0], tmp_path])) == [files[0], *files]
