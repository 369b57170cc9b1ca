"""The zoo names what edgec knows, finds its weights, and corrects misspelt names, all without torch."""

from pathlib import Path

import pytest

from pipeline.errors import CheckpointError, DataError, UsageError
from pipeline.models.zoo import KNOWN_MODELS, find_model, find_weights

FASHION = find_model("resnet20-fashion")
CIFAR = find_model("resnet20-cifar10")
RESNET18 = find_model("resnet18")


def test_names_are_unique_and_found() -> None:
    assert [find_model(model.name) for model in KNOWN_MODELS] == list(KNOWN_MODELS)
    assert len({model.name for model in KNOWN_MODELS}) == len(KNOWN_MODELS)


@pytest.mark.parametrize("model", KNOWN_MODELS, ids=lambda model: model.name)
def test_normalisation_has_a_value_for_each_channel(model: object) -> None:
    assert len(model.mean) == len(model.std) == model.channels == model.input_shape[2]  # type: ignore[attr-defined]


def test_a_misspelt_name_is_corrected() -> None:
    with pytest.raises(UsageError, match=r"'resnet20-fasion'. Did you mean 'resnet20-fashion'\?"):
        find_model("resnet20-fasion")


def test_a_fixed_class_count_must_be_the_data_sets() -> None:
    assert FASHION.classes_for(10) == 10
    with pytest.raises(DataError, match=r"has 10 classes; the data set has 43"):
        FASHION.classes_for(43)


def test_an_open_class_count_follows_the_data_set() -> None:
    assert RESNET18.classes_for(43) == 43


def test_embedded_weights_are_found_without_being_named() -> None:
    assert find_weights(FASHION).name == "resnet20_fashion.safetensors"


def test_weights_are_looked_for_in_the_data_and_in_the_folder_beside_it(tmp_path: Path) -> None:
    data, beside = tmp_path / "cifar10", tmp_path / "weights"
    data.mkdir()
    beside.mkdir()
    with pytest.raises(CheckpointError) as error:
        find_weights(CIFAR, data=data)
    assert str(data) in str(error.value)
    assert str(beside) in str(error.value)
    assert CIFAR.weights is not None
    (beside / CIFAR.weights).touch()
    assert find_weights(CIFAR, data=data) == beside / CIFAR.weights
    (data / CIFAR.weights).touch()
    assert find_weights(CIFAR, data=data) == data / CIFAR.weights


def test_a_named_checkpoint_comes_first_and_must_exist(tmp_path: Path) -> None:
    own = tmp_path / "own.pt"
    own.touch()
    assert find_weights(FASHION, checkpoint=own) == own
    with pytest.raises(CheckpointError, match="does not exist"):
        find_weights(FASHION, checkpoint=tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="is not a file"):
        find_weights(FASHION, checkpoint=tmp_path)


def test_a_checkpoint_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.pt").touch()
    monkeypatch.setattr("os.access", lambda *_: False)  # root may read everything
    with pytest.raises(CheckpointError, match="cannot be read"):
        find_weights(FASHION, checkpoint=tmp_path / "own.pt")


def test_a_model_without_weights_of_its_own_asks_for_a_checkpoint() -> None:
    with pytest.raises(CheckpointError, match="--checkpoint"):
        find_weights(RESNET18)
