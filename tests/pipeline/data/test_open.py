"""A data set is recognised by its files; other folders and files are described."""

import zipfile
from pathlib import Path

import pytest

from pipeline.data.open import open_dataset
from pipeline.errors import DataError, UsageError
from tests.pipeline.data.pictures import write_idx_set

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")


def test_a_missing_location_is_refused_with_the_allowed_kinds(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"There is no data set .*none.*idx files.*labels\.csv.*fashion-mnist"
    ):
        open_dataset(tmp_path / "none")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "it holds nothing"),
        (["b.png", "a.png"], r"it holds a\.png, b\.png\."),
        ([f"{n}.txt" for n in range(7)], r"it holds 0\.txt, .*, 4\.txt and 2 more\."),
    ],
)
def test_a_folder_that_is_not_a_data_set_is_described(names: list[str], told: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=told):
        open_dataset(tmp_path)


def test_a_file_that_is_not_a_data_set_is_described(tmp_path: Path) -> None:
    (tmp_path / "set.bin").write_bytes(b"x" * 2000)
    with pytest.raises(DataError, match="a file of 2,000 bytes"):
        open_dataset(tmp_path / "set.bin")


def test_an_archive_that_is_not_a_data_set_is_described(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("wrapped/1.png", b"")
        archive.writestr("notes.txt", b"")
    with pytest.raises(DataError, match=r"set\.zip is not a data set .*: it holds notes\.txt, wrapped\."):
        open_dataset(tmp_path / "set.zip")


def test_a_choice_of_labels_is_refused_without_a_table(tmp_path: Path) -> None:
    write_idx_set(tmp_path, t10k=20)
    with pytest.raises(UsageError, match="one kind of labels"):
        open_dataset(tmp_path, labels="fine")


def test_the_embedded_set_is_fashion_mnist() -> None:
    dataset = open_dataset("fashion-mnist")
    assert dataset.classes[:2] == ("T-shirt/top", "Trouser")
    assert [len(dataset.split(role)) for role in ("evaluation", "calibration")] == [10_000, 2048]
    assert not dataset.has("train")


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_embedded_images_are_those_set_aside_from_the_whole_set() -> None:
    embedded, whole = open_dataset("fashion-mnist"), open_dataset(FASHION_MNIST)
    assert embedded.classes == whole.classes
    for role in ("evaluation", "calibration"):
        assert embedded.split(role).digest == whole.split(role).digest
    assert len(whole.split("train")) == 60_000 - 2048


@needs_shared
def test_the_cifar10_pack_is_read() -> None:
    dataset = open_dataset(SHARED / "cifar10")
    assert dataset.classes[:3] == ("airplane", "automobile", "bird")
    assert [len(dataset.split(r)) for r in ("train", "calibration", "evaluation")] == [47_952, 2048, 10_000]


@needs_shared
@pytest.mark.parametrize(("labels", "classes"), [(None, 81), ("fine", 81), ("coarse", 43)])
def test_the_photos_are_read_out_of_their_zip(labels: str | None, classes: int) -> None:
    dataset = open_dataset(SHARED / "photos" / "grocery_store_s160_q90.zip", labels=labels)
    assert len(dataset.classes) == classes
    assert [len(dataset.split(r)) for r in ("train", "calibration", "evaluation")] == [2376, 264, 2485]
