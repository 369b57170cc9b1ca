"""Advice about tables of pictures, followed."""

from pathlib import Path

import pytest

from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.pipeline.data.pictures import png, random_pixels, write_folder

NAMES = ("train/1.png", "train/2.png", "test/1.png", "test/2.png")
TABLE = "path,split,label\n" + "".join(
    f"{name},{name.partition('/')[0]},{'cd'[number % 2]}\n" for number, name in enumerate(NAMES)
)


def holding(folder: Path, table: str, text: str) -> Path:
    files = dict(zip(NAMES, map(png, random_pixels(4)), strict=True))
    return write_folder(folder, files | {table: text.encode()})


def test_a_table_with_another_name_is_read_once_it_is_renamed(tmp_path: Path) -> None:
    holding(tmp_path, "train.csv", TABLE)
    with pytest.raises(DataError, match=r"train\.csv is not read under") as refused:
        open_dataset(tmp_path)
    assert "that name. Rename it to" in str(refused.value)
    (tmp_path / "train.csv").rename(tmp_path / "labels.csv")
    assert open_dataset(tmp_path).classes == ("c", "d")


def test_boxes_are_for_detection_and_a_list_of_cut_pictures_is_read(tmp_path: Path) -> None:
    boxed = "path,xmin,ymin,xmax,ymax,class\ntest/1.png,0,0,3,3,c\ntest/1.png,4,4,7,7,d\n"
    with pytest.raises(DataError, match=r"boxes \(xmin, ymin, xmax.*2 of them in test/1\.png") as refused:
        open_dataset(holding(tmp_path, "labels.csv", boxed))
    assert "Cut the boxes out into pictures of their own, and list those" in str(refused.value)
    cut = "path,label\ntest/1.png,c\ntest/2.png,d\n"
    assert open_dataset(holding(tmp_path, "labels.csv", cut)).classes == ("c", "d")


def test_a_class_that_is_a_link_to_another_is_removed(tmp_path: Path) -> None:
    picture = png(random_pixels(1)[0])
    write_folder(tmp_path, {"test/ash/1.png": picture, "test/birch/2.png": picture})
    (tmp_path / "test" / "aspen").symlink_to("ash")
    with pytest.raises(DataError, match=r"test/ash and test/aspen are one folder, by a link") as refused:
        open_dataset(tmp_path)
    assert "its pictures would be of two classes. Remove the link." in str(refused.value)
    (tmp_path / "test" / "aspen").unlink()
    assert open_dataset(tmp_path).classes == ("ash", "birch")


def test_columns_that_are_empty_are_removed(tmp_path: Path) -> None:
    rows = [line.split(",") for line in TABLE.splitlines()]
    wide = [rows[0] + [f"c{number}" for number in range(20_000)], *rows[1:] * 5_000]
    with pytest.raises(DataError, match="rows lack most values of the 20,003 columns") as refused:
        open_dataset(holding(tmp_path, "labels.csv", "\n".join(map(",".join, wide))))
    assert str(refused.value).endswith("Remove columns that are empty.")
    assert open_dataset(holding(tmp_path, "labels.csv", TABLE)).classes == ("c", "d")
