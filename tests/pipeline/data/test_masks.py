"""Masks are found by the names of their pictures, read as numbers, and are part of a data set's digest."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.cache.digest import file_digest
from pipeline.data.dataset import Dataset
from pipeline.data.masks import open_for_segmentation, read_mask
from pipeline.errors import DataError
from targets.runtime.preprocess import ImageError, Preprocessing
from tests.pipeline.data.pictures import jpeg, png, random_pixels, write_folder

AS_IS = Preprocessing(8, 8, 3, fit="stretch")
CLASSES = ("a", "b", "c")


def opened(folder: Path, classes: tuple[str, ...] = CLASSES) -> Dataset:
    return open_for_segmentation(folder, None, classes, file_digest)


def gray(numbers: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", numbers)[1].tobytes()


def with_palette(numbers: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Write the PNG by its specification: OpenCV writes none with a palette."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = numbers.shape
    rows = b"".join(b"\0" + row.tobytes() for row in numbers)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"PLTE", palette.tobytes())
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def numbers() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 3, (4, 8, 8), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, numbers: NDArray[np.uint8]) -> Path:
    files = {}
    for n, (picture, mask) in enumerate(zip(random_pixels(4), numbers, strict=True)):
        split = "train" if n < 2 else "test"
        files[f"{split}/images/city/{n}.jpg"] = jpeg(picture)
        files[f"{split}/masks/city/{n}.png"] = gray(mask)
    return write_folder(tmp_path / "data", files)


def test_masks_belong_to_the_pictures_of_their_names(folder: Path, numbers: NDArray[np.uint8]) -> None:
    dataset = opened(folder)
    (batch,) = dataset.split("evaluation").batches(AS_IS, 4)
    assert batch.masks is not None
    np.testing.assert_array_equal(batch.masks, numbers[2:])
    assert [sample.name for sample in batch.samples] == ["test/images/city/2.jpg", "test/images/city/3.jpg"]
    assert dataset.classes == CLASSES


def test_another_mask_is_another_data_set(folder: Path) -> None:
    before = opened(folder).split("evaluation").digest
    assert opened(folder).split("evaluation").digest == before
    (folder / "test/masks/city/2.png").write_bytes(gray(np.zeros((8, 8), np.uint8)))
    assert opened(folder).split("evaluation").digest != before


def test_a_picture_without_a_mask_is_named(folder: Path) -> None:
    (folder / "test/masks/city/3.png").unlink()
    with pytest.raises(DataError, match=r"1 pictures of test have no mask: test/images/city/3\.jpg"):
        opened(folder)


def test_a_class_that_the_model_has_not_is_named(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"has the class 2; the model has 0 to 1, and 255 stands for no label"
    ):
        list(opened(folder, ("a", "b")).split("evaluation").batches(AS_IS, 4))


def test_a_mask_of_another_size_than_its_picture_is_named(folder: Path) -> None:
    """Such as of a photo that its EXIF orientation turns."""
    (folder / "test/masks/city/3.png").write_bytes(gray(np.zeros((8, 6), np.uint8)))
    with pytest.raises(DataError, match=r"mask of test/images/city/3.jpg is 6 x 8 pixels, the picture 8 x 8"):
        list(opened(folder).split("evaluation").batches(AS_IS, 4))


def test_a_damaged_mask_leaves_its_picture_out(folder: Path) -> None:
    (folder / "test/masks/city/3.png").write_bytes(b"nothing")
    (batch,) = opened(folder).split("evaluation").readable(AS_IS, 4)
    assert batch.masks is not None
    assert len(batch.masks) == len(batch.images) == 1


def test_any_data_set_does_without_masks(tmp_path: Path) -> None:
    files = {f"test/{name}/0.png": png(random_pixels(1, seed)[0]) for seed, name in enumerate("xy")}
    split = opened(write_folder(tmp_path / "data", files)).split("evaluation")
    (batch,) = split.batches(AS_IS, 4)
    assert batch.masks is None
    assert split.classes == CLASSES
    assert set(split.labels.tolist()) == {0}


def test_a_mask_with_a_palette_is_its_indices() -> None:
    """As PASCAL VOC's are: 21 classes and 255."""
    random = np.random.default_rng(1)
    palette = random.permutation(1 << 24)[:256].astype(np.uint32).view(np.uint8).reshape(-1, 4)[:, :3].copy()
    numbers = random.choice(np.array([*range(21), 255], np.uint8), (30, 40))
    np.testing.assert_array_equal(read_mask(with_palette(numbers, palette), "a mask"), numbers)
    palette[7] = palette[8]
    with pytest.raises(DataError, match="a mask is a colour picture"):
        read_mask(with_palette(numbers, palette), "a mask")


def test_colours_are_no_mask() -> None:
    with pytest.raises(DataError, match="a mask is a colour picture"):
        read_mask(png(random_pixels(1)[0]), "a mask")
    with pytest.raises(ImageError, match="a mask is not a picture"):
        read_mask(b"", "a mask")


def test_black_and_white_masks_are_refused_since_white_would_be_no_label(
    folder: Path, numbers: NDArray[np.uint8]
) -> None:
    for path in folder.glob("*/masks/city/*.png"):
        path.write_bytes(gray(np.where(numbers[0] == 1, 255, 0).astype(np.uint8)))
    with pytest.raises(DataError, match=r"0 and 255 only.*Write class numbers: 1 where they have 255"):
        next(opened(folder).split("evaluation").batches(AS_IS, 4))
    for path in folder.glob("*/masks/city/*.png"):
        path.write_bytes(gray((numbers[0] == 1).astype(np.uint8)))
    (batch,) = opened(folder).split("evaluation").batches(AS_IS, 4)
    assert batch.masks is not None
    assert set(np.unique(batch.masks)) == {0, 1}


def test_a_split_without_masks_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(folder, {"calibration/images/9.jpg": jpeg(random_pixels(1, 9)[0])})
    opened(folder)
    assert "left out calibration, which has no folder of masks" in caplog.text
