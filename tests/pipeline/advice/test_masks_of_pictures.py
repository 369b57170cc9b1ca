"""What messages about the masks of a segmentation advise."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cache.digest import file_digest
from pipeline.data.masks import open_for_segmentation, read_mask
from targets.runtime.preprocess import ImageError
from tests.pipeline.advice.advised_folder import PICTURES, AdvisedFolder, Case
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import (
    png,
    write_folder,
)


def pictures_and_masks(trial: AdvisedFolder) -> Callable[[], object]:
    folder = with_masks(trial, gray_masks())
    for kind in ("images", "masks"):
        for split in ("train", "test"):
            (folder / kind).mkdir(exist_ok=True)
            for path in (folder / split / kind).iterdir():
                path.rename(folder / kind / path.name)
            (folder / split / kind).rmdir()
    for split in ("train", "test"):
        (folder / split).rmdir()

    def heed() -> None:
        for kind in ("images", "masks"):
            (folder / "test").mkdir(exist_ok=True)
            (folder / kind).rename(folder / "test" / kind)

    return heed


def with_masks(trial: AdvisedFolder, masks: dict[str, bytes]) -> Path:
    files = {f"{split}/images/{n}.png": PICTURES[f"a/{n}.png"] for n, split in enumerate(("train", "test"))}

    def read(place: Path, _: str | None) -> None:
        images = open_for_segmentation(place, None, ("x", "y"), file_digest).split("evaluation").images
        images.mask(0)  # type: ignore[attr-defined]

    trial.read = read
    return write_folder(trial.place, files | masks)


def gray_masks(splits: str = "01") -> dict[str, bytes]:
    gray = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    return {f"{('train', 'test')[int(n)]}/masks/{n}.png": gray for n in splits}


def masks_of_colours(trial: AdvisedFolder) -> Callable[[], object]:
    folder = with_masks(trial, gray_masks("0") | {"test/masks/1.png": PICTURES["a/3.png"]})
    return lambda: write_folder(folder, gray_masks())


def a_mask_too_few(trial: AdvisedFolder) -> Callable[[], object]:
    folder = with_masks(
        trial, gray_masks("0") | {"test/masks/other.png": gray_masks("1")["test/masks/1.png"]}
    )
    return lambda: write_folder(folder, gray_masks())


def masks_in_black_and_white(trial: AdvisedFolder) -> Callable[[], object]:
    def masks(white: int) -> dict[str, bytes]:
        half = np.where(np.arange(64).reshape(8, 8) < 32, white, 0).astype(np.uint8)
        coded = cv2.imencode(".png", half)[1].tobytes()
        return {"train/masks/0.png": coded, "test/masks/1.png": coded}

    folder = with_masks(trial, masks(255))
    return lambda: write_folder(folder, masks(1))


CASES: dict[str, Case] = {
    "Write class numbers: 1 where they have": masks_in_black_and_white,
    "For segmentation put them into test/images and test/masks": pictures_and_masks,
    "Write masks as 8-bit gray PNGs": masks_of_colours,
    "Put a PNG of the same name into test/masks": a_mask_too_few,
}


@pytest.mark.parametrize("words", CASES)
def test_advice_about_masks_helps(words: str, tmp_path: Path) -> None:
    trial = AdvisedFolder(tmp_path / "data")
    heed = CASES[words](trial)
    check_advice(words, lambda: trial.read(trial.place, trial.labels), heed)


def test_a_mask_in_text_is_saved_as_png() -> None:
    classes = np.array([[20, 0]], np.uint8)
    with pytest.raises(ImageError, match="numbers OpenCV may scale; save it as PNG"):
        read_mask(b"P2\n2 1\n20\n20 0\n", "one.pgm")
    assert read_mask(b"P5\n2 1\n20\n\x14\0", "one.pgm").tolist() == classes.tolist()
    assert read_mask(png(classes[:, :, None]), "one.png").tolist() == classes.tolist()
