"""CIFAR-10's own batches are pickles. Only arrays of bytes are read, and no code is run."""

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.attacks.pickled import Attack
from tests.pipeline.data.pictures import random_pixels

NAMES = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]


def rows(count: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Lay pictures out as CIFAR-10 does: a row each, plane by plane."""
    return random_pixels(count, seed, side=32).transpose(0, 3, 1, 2).reshape(count, 3072)


def python2_pickle(content: dict[bytes, object]) -> bytes:
    """Write what Python 2 wrote: protocol 2, with NumPy's old module names and with byte strings for str."""
    text = pickle.dumps(content, protocol=2)
    return text.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, name in enumerate([f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]):
        labels = [i % 10 for i in range(20)]
        (tmp_path / name).write_bytes(python2_pickle({b"data": rows(20, n), b"labels": labels}))
    (tmp_path / "batches.meta").write_bytes(python2_pickle({b"label_names": NAMES}))
    return tmp_path


def test_batches_are_read_as_they_were_written(folder: Path) -> None:
    dataset = open_dataset(folder)
    assert dataset.classes == tuple(name.decode() for name in NAMES)
    test = dataset.split("evaluation")
    assert test.labels.tolist() == [i % 10 for i in range(20)]
    expected = random_pixels(20, 5, side=32)
    np.testing.assert_array_equal([test.images.decode(i, 3) for i in range(20)], expected)
    assert len(dataset.split("train")) + len(dataset.split("calibration")) == 100


def test_the_folder_around_the_batches_is_as_good(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    around = tmp_path_factory.mktemp("around")
    folder.rename(around / "cifar-10-batches-py")
    assert len(open_dataset(around).split("evaluation")) == 20


def test_today_s_pickles_of_arrays_are_read_too(folder: Path) -> None:
    before = open_dataset(folder).split("evaluation").digest
    content = pickle.loads((folder / "test_batch").read_bytes(), encoding="bytes")
    for protocol in (2, 3, 4):
        (folder / "test_batch").write_bytes(pickle.dumps(content, protocol=protocol))
        assert open_dataset(folder).split("evaluation").digest == before


@pytest.mark.parametrize("name", ["test_batch", "batches.meta"])
def test_code_in_a_batch_is_never_run(name: str, folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (folder / name).write_bytes(pickle.dumps({b"data": Attack(victim)}))
    with pytest.raises(DataError, match=r"names \w+\.system, which was not run"):
        open_dataset(folder).split("evaluation")
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([1, 2], "holds list, not a dictionary"),
        ({b"data": rows(2, 0)}, "no array `data` and list `labels`"),
        ({b"data": b"bytes", b"labels": [1]}, "no array `data`"),
        ({b"data": rows(2, 0), b"labels": [1, 2, 3]}, r"shape \[2, 3072\]; expected 3 labels"),
        ({b"data": rows(2, 0), b"labels": [1, -1]}, "not integers from 0 to 255"),
        ({b"data": rows(2, 0), b"labels": [1, b"x"]}, "not integers from 0 to 255"),
        ({b"data": rows(2, 0).astype(np.float32), b"labels": [1, 2]}, "not a uint8 array"),
        ({b"data": rows(2, 0)[0], b"labels": [1, 2]}, "not a uint8 array"),
    ],
)
def test_content_of_another_kind_is_described(content: object, told: str, folder: Path) -> None:
    (folder / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(DataError, match=told):
        open_dataset(folder).split("evaluation")


def test_an_array_with_a_false_shape_is_refused(folder: Path) -> None:
    honest = pickle.dumps({b"data": rows(2, 0), b"labels": [1, 2]}, protocol=2)
    height = honest.index(b"K\x02M\x00\x0c")  # the shape: 2, 3072
    for lie in (b"K\xff", b"K\x00"):
        (folder / "test_batch").write_bytes(honest[:height] + lie + honest[height + 2 :])
        with pytest.raises(DataError, match="not a uint8 array whose bytes fill its shape"):
            open_dataset(folder).split("evaluation")


def test_a_few_bytes_that_ask_for_gigabytes_get_none(folder: Path) -> None:
    (folder / "test_batch").write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")  # LONG_BINPUT at 2^31 - 1
    tracemalloc.start()
    with pytest.raises(DataError):
        open_dataset(folder).split("evaluation")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_missing_batch_is_named(folder: Path) -> None:
    (folder / "data_batch_3").unlink()
    with pytest.raises(DataError, match="data_batch_3 is missing"):
        open_dataset(folder).split("train")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_scrambled_batches_are_read_or_refused_but_never_crash(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("scrambled")
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": NAMES}, protocol=2))
    content = bytearray(pickle.dumps({b"labels": [1], b"data": rows(1, 0)}, protocol=2))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 160))] = data.draw(st.integers(0, 255))
    (folder / "test_batch").write_bytes(content[: data.draw(st.sampled_from([len(content), 100, 500]))])
    try:
        split = open_dataset(folder).split("evaluation")
    except DataError:
        return
    assert split.images.decode(0, 3).shape == (32, 32, 3)
