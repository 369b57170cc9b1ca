"""A split is a stream of preprocessed batches; damaged pictures are named, counted, and at last fatal."""

import hashlib
import logging
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.data.images import PixelImages
from pipeline.data.open import open_dataset
from pipeline.data.split import Sample, Split, stratified_order
from pipeline.errors import DataError
from targets.runtime.preprocess import Preprocessing, decode
from tests.pipeline.data.pictures import jpeg, png, random_pixels, write_folder, write_pack

AS_STORED = Preprocessing(8, 8, 3, fit="pad")


def packed_split(folder: Path, files: list[bytes]) -> Split:
    (folder / "classes.txt").write_text("ash\nbirch\n")
    write_pack(folder / "test_jpeg.npz", files, [n % 2 for n in range(len(files))])
    return open_dataset(folder).split("evaluation")


def test_batches_are_the_decoded_pictures_in_order(tmp_path: Path) -> None:
    files = [jpeg(picture) for picture in random_pixels(7)]
    split = packed_split(tmp_path, files)
    batches = list(split.batches(AS_STORED, batch_size=3))
    assert [len(batch.labels) for batch in batches] == [3, 3, 1]
    images = np.concatenate([batch.images for batch in batches])
    np.testing.assert_array_equal(images, [AS_STORED(decode(file, 3)) for file in files])
    assert images.dtype == np.uint8
    assert [label for batch in batches for label in batch.labels] == [0, 1, 0, 1, 0, 1, 0]
    assert tuple(sample for batch in batches for sample in batch.samples) == split.samples


def test_a_sample_is_known_by_the_digest_of_its_stored_bytes(tmp_path: Path) -> None:
    files = [jpeg(picture) for picture in random_pixels(3)]
    split = packed_split(tmp_path, files)
    assert [sample.digest for sample in split.samples] == [hashlib.sha256(file).hexdigest() for file in files]
    assert split.samples[2] == Sample("test_jpeg.npz[2]", hashlib.sha256(files[2]).hexdigest(), 0)


def test_the_digest_changes_with_content_order_and_labels_but_not_with_the_place(tmp_path: Path) -> None:
    files = [png(picture) for picture in random_pixels(4)]
    names = ("test/ash/1.png", "test/ash/2.png", "test/birch/3.png", "test/birch/4.png")

    def digest(place: str, *contents: bytes) -> str:
        folder = write_folder(tmp_path / place, dict(zip(names, contents, strict=False)))
        return open_dataset(folder).split("evaluation").digest

    first = digest("first", *files)
    assert digest("elsewhere", *files) == first
    different = [
        digest("content", png(random_pixels(1, seed=9)[0]), *files[1:]),
        digest("order", files[1], files[0], *files[2:]),
        digest("label", files[0], files[2], files[1], files[3]),
        digest("fewer", *files[:3]),
    ]
    assert len({first, *different}) == 5


def test_damaged_pictures_are_named_left_out_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [jpeg(picture) for picture in random_pixels(200)]
    files[5] = files[5][: len(files[5]) // 2]  # OpenCV would fill the rest with grey and call it a success
    files[77] = b"no picture"
    split = packed_split(tmp_path, files)
    seen: list[tuple[str, str]] = []
    batches = list(split.batches(AS_STORED, 64, lambda sample, why: seen.append((sample.name, why))))
    assert [name for name, _ in seen] == ["test_jpeg.npz[5]", "test_jpeg.npz[77]"]
    assert "cut off" in seen[0][1]
    assert sum(len(batch.labels) for batch in batches) == 198
    assert {"test_jpeg.npz[5]", "test_jpeg.npz[77]"}.isdisjoint(s.name for b in batches for s in b.samples)
    with caplog.at_level(logging.WARNING, "edgec.data"):
        list(split.batches(AS_STORED, 64))
    assert "Skipped test_jpeg.npz[5]" in caplog.text


def test_more_damaged_pictures_than_one_in_a_hundred_are_fatal(tmp_path: Path) -> None:
    files = [jpeg(picture) for picture in random_pixels(200)]
    for n in (5, 77, 120):
        files[n] = files[n][:-30]
    split = packed_split(tmp_path, files)
    with pytest.raises(DataError) as error:
        list(split.batches(AS_STORED, 64, lambda *_: None))
    assert "At least 3 of the 200 evaluation images are damaged, more than the 1%" in str(error.value)
    assert "test_jpeg.npz[5]" in str(error.value)


def test_one_damaged_picture_stops_no_small_set_but_half_of_them_do(tmp_path: Path) -> None:
    """1 % of twenty pictures is less than one."""
    files = [jpeg(picture) for picture in random_pixels(20)]
    files[5] = files[5][:-30]
    (tmp_path / "twenty").mkdir()
    batches = packed_split(tmp_path / "twenty", files).batches(AS_STORED, 64, lambda *_: None)
    assert sum(len(batch.labels) for batch in batches) == 19
    for name, few in (("two of twenty", [*files[:19], b""]), ("one of three", files[4:7])):
        (tmp_path / name).mkdir()
        with pytest.raises(DataError, match="are damaged, more than the 1%"):
            list(packed_split(tmp_path / name, few).batches(AS_STORED, 64, lambda *_: None))


def test_memory_does_not_grow_with_the_set(tmp_path: Path) -> None:
    """Each picture is 0.75 MB decoded; ten times as many of them need no more than a few batches' worth."""
    picture = png(np.zeros((512, 512, 3), np.uint8))
    preprocessing = Preprocessing(512, 512, 3, fit="pad")

    def peak(count: int) -> int:
        files = {f"test/ash/{n:04}.png": picture for n in range(count)}
        split = open_dataset(write_folder(tmp_path / str(count), files)).split("evaluation")
        tracemalloc.start()
        seen = sum(len(batch.labels) for batch in split.batches(preprocessing, batch_size=4))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert seen == count
        return most

    assert peak(300) - peak(30) < 16 * 2**20  # all of them are 225 MB; how many are decoded ahead varies


def numbered(labels: list[int]) -> Split:
    pixels = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    images = PixelImages("some", pixels, np.array(labels, np.int64))
    return Split("calibration", tuple("abcdefgh"), images, np.arange(len(labels)))


many_labels = st.lists(st.integers(0, 7), min_size=1, max_size=200)


@given(many_labels, st.integers(1, 200), st.integers(0, 2**63 - 1))
def test_a_stratified_draw_keeps_every_class_in_proportion(labels: list[int], count: int, seed: int) -> None:
    drawn = numbered(labels).stratified(count, seed)
    taken = min(count, len(labels))
    assert len(drawn) == taken
    whole, part = Counter(labels), Counter(drawn.labels.tolist())
    for label, there in whole.items():
        assert abs(part[label] - taken * there / len(labels)) <= len(whole) / 2 + 1


@given(many_labels, st.integers(1, 100), st.integers(0, 100), st.integers(0, 2**63 - 1))
def test_a_smaller_draw_is_contained_in_a_larger_one(
    labels: list[int], small: int, more: int, seed: int
) -> None:
    split = numbered(labels)
    assert set(split.stratified(small, seed).indices) <= set(split.stratified(small + more, seed).indices)


@given(many_labels, st.integers(0, 2**63 - 1))
def test_a_stratified_order_is_a_permutation(labels: list[int], seed: int) -> None:
    order: NDArray[np.int64] = stratified_order(np.array(labels), seed)
    assert sorted(order) == list(range(len(labels)))


def test_another_seed_draws_others() -> None:
    split = numbered([n % 8 for n in range(200)])
    assert set(split.stratified(40, seed=0).indices) != set(split.stratified(40, seed=1).indices)


def test_the_draw_of_a_seed_never_changes() -> None:
    """Embedded files and weights were made with it, so it must be the same in every version of NumPy."""
    assert stratified_order(np.array([0, 1] * 6), seed=0).tolist() == DRAWN


DRAWN = [0, 11, 2, 9, 1, 8, 5, 4, 3, 10, 6, 7]


def test_an_empty_draw_is_refused() -> None:
    with pytest.raises(DataError, match="calibration set would be empty"):
        numbered([0, 1]).stratified(0)


def test_a_picture_in_two_classes_is_named_and_one_that_is_twice_in_its_class_is_not(tmp_path: Path) -> None:
    first, second, third = map(jpeg, random_pixels(3))
    split = packed_split(tmp_path, [first, second, first, third, third, second])
    assert split.in_two_classes() == (
        "1 picture is in two classes, and one of them is wrong: test_jpeg.npz[4] = test_jpeg.npz[3]."
        " Keep each in one."
    )
    assert split.subset([0, 1, 2, 3]).in_two_classes() == ""


def test_every_beginning_of_a_mixed_split_has_all_classes_in_proportion() -> None:
    """Data sets lie class after class; some methods read the first images only."""
    labels = np.repeat([0, 1, 2], [40, 20, 20])
    images = PixelImages("pixels.npy", np.zeros((80, 4, 4, 1), np.uint8), labels)
    split = Split("calibration", ("ash", "birch", "cedar"), images, np.arange(80))
    mixed = split.mixed(seed=3)
    assert sorted(mixed.indices) == list(range(80))
    for count in (8, 20, 40, 60):
        found = np.bincount(mixed.labels[:count], minlength=3)
        assert np.abs(found - count * np.array([0.5, 0.25, 0.25])).max() <= 1
