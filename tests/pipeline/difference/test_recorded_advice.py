"""Recorded logits are compared with their own pictures. Otherwise advice is given, and it helps."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.difference.opened_side import opened_side
from pipeline.difference.picture_source import PictureFiles
from pipeline.difference.recorded_pairs import check_pairs
from pipeline.errors import UsageError
from targets.runtime.preprocess import Preprocessing


def record(folder: Path, names: str, classes: int = 5) -> None:
    """Write a file of logits for each picture; pictures have letters for names."""
    for name in names:
        np.save(folder / f"{name}.npy", np.zeros(classes, np.float32))


def check(recorded: Path, pictures: str) -> None:
    """Open recorded logits, and check them against pictures."""
    source = PictureFiles(Preprocessing(8, 8, 3), tuple(Path(f"{name}.jpg") for name in pictures))
    with opened_side(recorded) as side:
        check_pairs(side, source)


@pytest.mark.parametrize("names", ["abc", "123"])
def test_each_picture_has_logits_by_its_name_or_all_have_other_names(names: str, tmp_path: Path) -> None:
    record(tmp_path, names)
    check(tmp_path, "abc")


def test_one_file_for_each_picture_helps(tmp_path: Path) -> None:
    record(tmp_path, "abcd")
    with pytest.raises(UsageError, match="logits of 4 pictures, and 3 are given") as error:
        check(tmp_path, "abc")
    assert " are given. Give one file of logits for each picture." in str(error.value)
    (tmp_path / "d.npy").unlink()
    check(tmp_path, "abc")


def test_a_picture_for_each_row_helps(tmp_path: Path) -> None:
    np.save(tmp_path / "logits.npy", np.zeros((4, 5), np.float32))
    with pytest.raises(UsageError, match="logits of 4 pictures, and 3 are given") as error:
        check(tmp_path / "logits.npy", "abc")
    assert " are given. Give a picture for each row, in the order of the rows." in str(error.value)
    check(tmp_path / "logits.npy", "abcd")


def test_a_file_of_another_picture_in_the_middle_would_shift_the_rest(tmp_path: Path) -> None:
    record(tmp_path, "acd")
    with pytest.raises(UsageError, match=r"c\.npy in .* would be compared with the picture b") as error:
        check(tmp_path, "abc")
    advice = ". Name the logits as the pictures, and give one file of logits for each picture."
    assert advice in str(error.value)
    (tmp_path / "d.npy").rename(tmp_path / "b.npy")
    check(tmp_path, "abc")


@pytest.mark.parametrize("name", ["net.plan", "net.trt", "net.engine"])
def test_the_logits_of_a_tensorrt_engine_help(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"ftrt" + bytes(64))
    with pytest.raises(UsageError, match="is TensorRT's") as error, opened_side(tmp_path / name):
        pass
    advice = " on its device. Give the ONNX file that it was built from, its logits (.npy), or the folder of"
    assert advice in str(error.value)
    np.save(tmp_path / "logits.npy", np.zeros((3, 5), np.float32))
    check(tmp_path / "logits.npy", "abc")


def test_logits_of_one_network_help(tmp_path: Path) -> None:
    record(tmp_path, "ab")
    record(tmp_path, "c", classes=6)
    with pytest.raises(UsageError, match="5 and 6 classes") as error:
        check(tmp_path, "abc")
    assert " classes. Give a folder of one network's, a file a picture." in str(error.value)
    record(tmp_path, "c")
    check(tmp_path, "abc")
