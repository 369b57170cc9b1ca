"""The idx files of MNIST and Fashion-MNIST, and files with false headers."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.idx import FASHION_MNIST_CLASSES, read_idx, write_idx
from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.pipeline.data.pictures import idx_bytes, random_pixels, write_idx_set

PIXELS = random_pixels(5, channels=1)[:, :, :, 0]


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_an_array_is_read_plain_or_gzipped(name: str, tmp_path: Path) -> None:
    content = idx_bytes(PIXELS)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    np.testing.assert_array_equal(read_idx(tmp_path / name, 3), PIXELS)


def test_a_plain_file_is_mapped_not_read(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(idx_bytes(PIXELS))
    assert isinstance(read_idx(tmp_path / "images", 3), np.memmap)


def test_what_is_written_is_read_back_and_written_the_same_again(tmp_path: Path) -> None:
    for name in ("first.gz", "second.gz"):
        write_idx(tmp_path / name, PIXELS)
    assert (tmp_path / "first.gz").read_bytes() == (tmp_path / "second.gz").read_bytes()
    np.testing.assert_array_equal(read_idx(tmp_path / "first.gz", 3), PIXELS)


def test_a_folder_of_idx_files_has_their_splits_and_numbered_classes(tmp_path: Path) -> None:
    write_idx_set(tmp_path, train=50, t10k=20)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == tuple("0123456789")
    evaluation = dataset.split("evaluation")
    assert len(evaluation) == 20
    assert evaluation.samples[3].name == "t10k-images-idx3-ubyte[3]"
    assert evaluation.labels.tolist() == [n % 10 for n in range(20)]
    assert len(dataset.split("train")) + len(dataset.split("calibration")) == 50


def test_classes_txt_names_the_classes(tmp_path: Path) -> None:
    write_idx_set(tmp_path, t10k=20)
    (tmp_path / "classes.txt").write_text("\n".join(FASHION_MNIST_CLASSES) + "\n")
    assert open_dataset(tmp_path).classes == FASHION_MNIST_CLASSES
    (tmp_path / "classes.txt").write_text("shirt\ncoat\nshirt\n")
    with pytest.raises(DataError, match="line 3: 'shirt' is empty or repeated"):
        open_dataset(tmp_path)


def header(*shape: int, element: int = 8) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, element, len(shape), *shape)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "begins"),
        (b"\0\0\x08\x03\0\0", "begins 00 00 08 03"),
        (header(5, 8, 8, element=13) + bytes(320), "begins 00 00 0d 03, expected 00 00 08 03"),
        (header(320) + bytes(320), "in 3 dimensions"),
        (header(5, 8, 8) + bytes(319), "320 bytes according to its header, and has only 319"),
        (header(5, 8, 8) + bytes(321), "320 bytes according to its header, and has more"),
        (
            header(2**8, 2**8, 2**9) + bytes(320),
            "33,554,432 bytes according to .* has only 320",
        ),
    ],
)
def test_a_false_header_is_refused(content: bytes, told: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"images{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DataError, match=told):
        read_idx(path, 3)


def test_an_archive_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(header(2**32 - 1, 28, 28) + bytes(1000)))
    with pytest.raises(DataError, match="too many for memory"):
        read_idx(path, 3)


@given(cut=st.floats(0, 1, exclude_max=True), flip=st.none() | st.integers(0, 2**16))
def test_a_damaged_archive_is_refused_or_read_whole(
    cut: float, flip: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "images.gz"
    content = bytearray(gzip.compress(idx_bytes(PIXELS), mtime=0))
    if flip is None:
        content = content[: int(cut * len(content))]
    else:
        content[flip % len(content)] ^= 1 + flip % 255
    path.write_bytes(content)
    try:
        found = read_idx(path, 3)
    except DataError:
        return
    np.testing.assert_array_equal(found, PIXELS)


def test_labels_must_be_as_many_as_images(tmp_path: Path) -> None:
    write_idx_set(tmp_path, t10k=20)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(19, np.uint8)))
    with pytest.raises(DataError, match=r"20 images, .* has 19 labels"):
        open_dataset(tmp_path).split("evaluation")


@pytest.mark.parametrize("shape", [(2, 8, 0), (0, 0xEE000000, 0xFFFFFD00), (1, 6145, 8192)], ids=str)
def test_pictures_without_pixels_or_with_too_many_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    write_idx_set(tmp_path, t10k=2)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(header(*shape))
    with pytest.raises(DataError, match=f"pictures of {shape[1]} x {shape[2]} pixels; from 1 to 50,331,648"):
        open_dataset(tmp_path).split("evaluation")


def test_missing_labels_are_named(tmp_path: Path) -> None:
    write_idx_set(tmp_path, t10k=20)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte is missing, plain or as \.gz"):
        open_dataset(tmp_path)
