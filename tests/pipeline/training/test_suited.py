"""Settings that are not given suit the number of images, and photos start from edgec's weights."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from pipeline.models.zoo import find_model, find_weights
from pipeline.training.loop import train
from pipeline.training.settings import TrainConfig
from pipeline.training.suited import MANY, SHIPPED, suited
from tests.pipeline.data.pictures import class_folders, jpeg, random_pixels, write_folder
from tests.pipeline.training.small_runs import Heard, small

PHOTOS = find_model("resnet18-narrow2-128px")
GRAY = find_model("resnet20-fashion")


@given(st.integers(2, MANY - 1))
def test_every_number_of_images_has_settings_that_can_be_used(images: int) -> None:
    for model in (PHOTOS, GRAY):
        made = suited(TrainConfig(model=model.name), model, images, 5).config
        assert TrainConfig.model_validate(made.model_dump()) == made
        steps = made.epochs * max(1, images // made.batch_size)
        assert 10 <= steps <= 20_000
        assert made.batch_size <= max(16, images)


def test_many_images_are_trained_on_as_before() -> None:
    config = TrainConfig()
    assert suited(config, GRAY, MANY, 10).config == config
    assert suited(config, GRAY, MANY, 10).said == ""


def test_what_is_given_counts() -> None:
    told = {"epochs": 3, "batch_size": 7, "peak_learning_rate": 0.125, "zoom": 0.0, "start": "random"}
    made = suited(TrainConfig.model_validate(told), PHOTOS, 200, 5).config
    assert {name: getattr(made, name) for name in told} == told
    assert made.initial is None


def test_photos_begin_with_the_weights_that_come_with_edgec() -> None:
    found = suited(TrainConfig(model=PHOTOS.name), PHOTOS, 200, 5)
    assert found.config.initial == find_weights(find_model(SHIPPED))
    assert found.config.new_head
    assert f"Starts from edgec's weights for {SHIPPED} with a new head." in found.said
    assert "--batch, --epochs, --lr" in found.said


@pytest.mark.parametrize("name", ["resnet20-fashion", "resnet18", "resnet20-cifar10", SHIPPED])
def test_weights_of_another_network_are_not_begun_with(name: str) -> None:
    assert suited(TrainConfig(model=name), find_model(name), 200, 5).config.initial is None


def test_a_checkpoint_that_is_given_is_not_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    assert suited(TrainConfig(initial=mine), PHOTOS, 200, 5).config.initial == mine


def test_the_same_command_resumes(data: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=data, epochs=2, threads=1, bf16="off")
    train(config, tmp_path / "run")
    heard = Heard()
    train(config, tmp_path / "run", heard)
    assert "Resuming after epoch 2 of 2." in heard.lines


def test_damaged_pictures_are_counted_over_all_that_are_held_out_or_not(tmp_path: Path) -> None:
    """And that is known before the first epoch."""
    files = class_folders(train=60, test=4)
    folder = write_folder(tmp_path / "photos", files)
    held = open_dataset(folder).split("train").stratified(5, 0).samples[0].name
    (folder / held).write_bytes(jpeg(random_pixels(1)[0])[:-40])
    config = small(folder, model="resnet8", epochs=1, watch="held_out", batch_size=8)
    assert train(config, tmp_path / "run").history[0].watched is not None
    for name in [name for name in files if name.startswith("train/")][:5]:
        (folder / name).write_bytes(name.encode())
    heard = Heard()
    with pytest.raises(DataError, match="train images are damaged"):
        train(config, tmp_path / "again", heard)
    assert not [task for task in heard.tasks if task[0].startswith("epoch")]
