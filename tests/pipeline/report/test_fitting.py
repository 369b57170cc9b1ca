"""The effect of resize and crop is described, counted and shown on a picture."""

import base64
from pathlib import Path

import cv2
import numpy as np

from pipeline.data.open import open_dataset
from pipeline.report.fitting import fitting, words
from pipeline.report.sections.picture_fitting import fitting_line
from targets.runtime.preprocess import Preprocessing
from tests.pipeline.data.pictures import png, random_pixels, write_folder


def folder(path: Path, sides: list[int]) -> Path:
    files = {
        f"test/{'ab'[n % 2]}/{n}.png": png(random_pixels(1, side=side, seed=n)[0])
        for n, side in enumerate(sides)
    }
    files |= {f"train/{name}/9{name}.png": png(random_pixels(1, side=8, seed=ord(name))[0]) for name in "ab"}
    return write_folder(path, files)


def test_pictures_that_are_not_changed_are_counted_and_one_that_is_is_shown(tmp_path: Path) -> None:
    split = open_dataset(folder(tmp_path, [32, 32, 64, 32])).split("evaluation")
    found = fitting(split, Preprocessing(32, 32, 3, "crop"))
    assert (found.looked_at, found.untouched) == (4, 3)
    assert found.picture is not None
    assert (found.picture.stored, found.picture.seen) == ((64, 64), (32, 32))
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(found.picture.after), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape == (32, 32, 3)
    assert fitting_line(found).endswith("; this changes 1 of 4 pictures looked at")
    assert fitting_line(found.model_copy(update={"untouched": 4})).endswith(
        "; this leaves 4 pictures looked at as they are"
    )


def test_every_way_of_fitting_has_words_of_its_own() -> None:
    ways = [
        Preprocessing(32, 32, 3, "crop"),
        Preprocessing(32, 32, 3, "crop", 37),
        Preprocessing(32, 32, 3, "pad"),
        Preprocessing(32, 32, 3, "stretch"),
    ]
    assert len({words(way) for way in ways}) == len(ways)
    assert "37 always" in words(ways[1])
