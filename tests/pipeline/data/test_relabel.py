"""A data set takes the classes of a model, in any order, and refuses names the model does not have."""

from pathlib import Path

import pytest

from pipeline.data.open import open_dataset
from pipeline.data.relabel import relabelled
from pipeline.errors import DataError
from tests.pipeline.data.pictures import png, random_pixels, write_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = [png(picture) for picture in random_pixels(4)]
    names = ("test/cat/1.png", "test/dog/2.png", "train/cat/3.png", "train/dog/4.png")
    return write_folder(tmp_path, dict(zip(names, pictures, strict=True)))


def test_labels_follow_the_models_order_and_samples_stay_the_same(folder: Path) -> None:
    dataset = open_dataset(folder)
    seen = relabelled(dataset, ("dog", "bird", "cat"), "net")
    assert seen.classes == ("dog", "bird", "cat")
    before, after = (found.split("evaluation") for found in (dataset, seen))
    assert [before.classes[label] for label in before.labels] == [
        after.classes[label] for label in after.labels
    ]
    assert [s.digest for s in before.samples] == [s.digest for s in after.samples]


def test_classes_that_the_model_does_not_know_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match="has classes that net does not name: cat"):
        relabelled(open_dataset(folder), ("dog", "bird"), "net")
