"""What messages about training advise: another folder, another option, the float network."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from shutil import rmtree

import pytest
import torch

from pipeline.data.embedded import EMBEDDED
from pipeline.errors import TrainingError
from pipeline.training import held, qat
from pipeline.training.loop import train
from pipeline.training.qat import train_quantized
from pipeline.training.settings import QatConfig, TrainConfig
from pipeline.training.training_run import RunFolder
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import write_idx_set
from tests.pipeline.training.small_runs import small


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_idx_set(tmp_path / "data", train=20, t10k=10)
    return tmp_path / "data"


def test_pictures_for_a_model_without_any_help(data: Path, tmp_path: Path) -> None:
    settings = [TrainConfig(model="resnet18"), small(data, epochs=1, model="resnet20-fashion")]
    check_advice(
        "has no data set of its own. Give one with --data",
        lambda: train(settings[0], tmp_path / "run"),
        lambda: settings.pop(0),
    )


def test_pictures_of_ones_own_help_where_the_project_has_none_to_train_with(
    data: Path, tmp_path: Path
) -> None:
    settings = [TrainConfig(), small(data, epochs=1)]
    check_advice(
        "Give pictures to train with: edgec train --data FOLDER",
        lambda: train(settings[0], tmp_path / "run"),
        lambda: settings.pop(0),
    )


def test_the_same_settings_or_another_folder_help(data: Path, tmp_path: Path) -> None:
    train(small(data, epochs=1), tmp_path / "run")
    tries: list[tuple[int, str]] = [(1, "run")]
    words = "Resume it with the same settings, or give another folder"
    check_advice(
        words,
        lambda: train(small(data, epochs=1, seed=tries[-1][0]), tmp_path / tries[-1][1]),
        lambda: tries.append((1, "other")),
    )
    train(small(data, epochs=1), tmp_path / "run")


def test_another_folder_for_other_images_helps(data: Path, tmp_path: Path) -> None:
    train(small(data, epochs=1), tmp_path / "run")
    write_idx_set(data, t10k=10, train=21)
    folders = ["run"]
    check_advice(
        "Use another folder",
        lambda: train(small(data, epochs=1), tmp_path / folders[-1]),
        lambda: folders.append("other"),
    )


def test_another_folder_helps_beside_a_training_that_runs(data: Path, tmp_path: Path) -> None:
    folders = ["run"]
    with RunFolder(tmp_path / "run").held():
        check_advice(
            "Another training is running in",
            lambda: train(small(data, epochs=1), tmp_path / folders[-1]),
            lambda: folders.append("other"),
        )


@pytest.mark.parametrize("name", ["run.json", "checkpoint.pt"])
def test_removing_a_damaged_run_helps(name: str, data: Path, tmp_path: Path) -> None:
    train(small(data, epochs=1), tmp_path / "run")
    file = tmp_path / "run" / name
    file.write_bytes(file.read_bytes()[:-40])
    words = f"is damaged. Remove {tmp_path / 'run'} to start again"
    check_advice(
        words, lambda: train(small(data, epochs=1), tmp_path / "run"), lambda: rmtree(tmp_path / "run")
    )


def test_training_on_fewer_images_helps(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "HELD_LIMIT", 20 * 1024)
    write_idx_set(data, t10k=10, train=30)

    def fewer() -> None:
        write_idx_set(data, t10k=10, train=20)

    attempt = partial(train, small(data, epochs=1), tmp_path / "run")
    check_advice("Train on fewer, or elsewhere, and bring the checkpoint", attempt, fewer)


Settings = Callable[..., QatConfig]


@pytest.fixture
def settings(data: Path) -> Settings:
    given = {"initial": EMBEDDED / "resnet20_fashion.safetensors", "epochs": 1, "calibration_images": 6}
    return lambda **more: QatConfig.model_validate({"data": data, "threads": 1, **given, **more})


class Began(Exception):
    """A run was let begin; how it goes on is tested elsewhere."""


@pytest.fixture
def begins(monkeypatch: pytest.MonkeyPatch) -> Callable[[QatConfig, Path], None]:
    """Fails if a run is refused, and ends at its first epoch."""

    def begin(*_: object) -> None:
        raise Began

    def attempt(chosen: QatConfig, folder: Path) -> None:
        with suppress(Began):
            train_quantized(chosen, folder)

    monkeypatch.setattr(qat.QatTrainer, "epoch", begin)
    return attempt


Begins = Callable[[QatConfig, Path], None]


def test_a_recipe_without_what_training_undoes_helps(
    settings: Settings, begins: Begins, tmp_path: Path
) -> None:
    recipes = ["w8a8_asym_nosat"]
    check_advice(
        "Leave 'nosat' out of the recipe",
        lambda: begins(settings(recipe=recipes[-1]), tmp_path / "run"),
        lambda: recipes.append("w8a8_asym"),
    )


def test_another_folder_for_quantised_training_on_other_images_helps(
    settings: Settings, begins: Begins, data: Path, tmp_path: Path
) -> None:
    begins(settings(), tmp_path / "run")
    write_idx_set(data, t10k=10, train=21)
    folders = ["run"]
    check_advice(
        "was begun. Use another folder",
        lambda: begins(settings(), tmp_path / folders[-1]),
        lambda: folders.append("other"),
    )


def test_lower_rates_help(settings: Settings, tmp_path: Path) -> None:
    rates = [1e4]
    check_advice(
        "lower scale_rate and bias_rate",
        lambda: train_quantized(settings(scale_rate=rates[-1], batch_size=10), tmp_path / str(rates[-1])),
        lambda: rates.append(1e-4),
    )


@pytest.mark.parametrize("rate", [50.0, 1e30])
def test_the_rate_that_a_diverged_run_names_helps(rate: float, data: Path, tmp_path: Path) -> None:
    """Wherever the first rate was: a fifth of 50 diverges, too."""
    rates = [rate]

    def attempt() -> None:
        train(small(data, peak_learning_rate=rates[-1], epochs=8), tmp_path / f"run {len(rates)}")

    def heed() -> None:
        with pytest.raises(TrainingError) as raised:
            train(small(data, peak_learning_rate=rates[-1], epochs=8), tmp_path / "once more")
        rates.append(float(re.findall(r"--lr ([0-9.e+]+)", str(raised.value))[0]))

    check_advice("Try a lower rate, --lr ", attempt, heed)
    assert rates[1] < rates[0]
