"""Training learns, resumes to the bit after a kill, and refuses what it cannot use."""

import multiprocessing
import signal
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.open import open_dataset
from pipeline.errors import CheckpointError, DataError, StorageError, TrainingError, UsageError
from pipeline.models.checkpoint import load_model
from pipeline.models.zoo import find_model
from pipeline.training import held, loop, precision
from pipeline.training.judge import judge
from pipeline.training.loop import train
from pipeline.training.settings import TrainConfig
from pipeline.training.training_run import RunFolder
from tests.pipeline.data.pictures import idx_bytes, random_pixels, write_idx_set
from tests.pipeline.training.killed_run import train_and_die
from tests.pipeline.training.small_runs import Heard, small


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_progress_and_history_tell_of_each_epoch(data: Path, tmp_path: Path) -> None:
    heard = Heard()
    result = train(small(data), tmp_path / "run", heard)
    epochs = [(f"epoch {n} of 3", 3, 3) for n in (1, 2, 3)]
    assert heard.tasks == [("decode", 54, 54), *epochs, ("evaluate", 20, 20)]
    assert [record.epoch for record in result.history] == [1, 2, 3]
    assert [record.side for record in result.history] == [24, 32, 32]
    written = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert written == [record.model_dump_json() for record in result.history]
    assert [line.partition(":")[0] for line in heard.lines[:1]] == ["54 images of 10 classes"]
    assert len(heard.lines) == 1 + 3


def test_the_weights_load_into_the_model_and_score_as_reported(data: Path, tmp_path: Path) -> None:
    result = train(small(data), tmp_path / "run")
    model = find_model("resnet20-fashion")
    network = load_model(model, result.weights, classes=10)
    evaluation = open_dataset(data).split("evaluation")
    found = judge(network, model, evaluation, lambda _: None)
    assert result.judgement is not None
    assert found.confusion.tolist() == result.judgement.confusion.tolist()
    assert found.seen == 20
    load_model(model, (tmp_path / "run" / "checkpoint.pt").rename(tmp_path / "mid.pt"), classes=10)


@pytest.mark.slow
def test_it_learns(tmp_path: Path) -> None:
    """Ten classes that differ in one bright row are recognised after a few epochs."""
    random, data = np.random.default_rng(0), tmp_path / "data"
    data.mkdir()
    for prefix, count in (("train", 400), ("t10k", 100)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = random.integers(0, 120, (count, 28, 28), np.uint8)
        for n, label in enumerate(labels):
            pixels[n, 4 + 2 * label] = 255
        (data / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
        (data / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    result = train(
        small(data, epochs=8, batch_size=20, crop_margin=0, peak_learning_rate=0.1), tmp_path / "run"
    )
    assert result.judgement is not None
    assert result.judgement.right >= 90
    assert result.history[-1].loss < result.history[0].loss


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """New processes that need not import torch again."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([train_and_die.__module__])
    return context


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "epochs_kept", "bf16"),
    [("within", 1, "off"), ("saving", 1, "off"), ("after", 2, "off"), ("within", 1, "on")],
)
def test_a_run_killed_and_resumed_ends_with_the_same_bits(
    moment: str, epochs_kept: int, bf16: str, data: Path, tmp_path: Path, processes: ForkServerContext
) -> None:
    config = small(data, bf16=bf16)
    uninterrupted = train(config, tmp_path / "uninterrupted")
    killed = processes.Process(target=train_and_die, args=(tmp_path / "killed", config, moment))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "weights.safetensors").exists()

    heard = Heard()
    resumed = train(config, tmp_path / "killed", heard)
    assert heard.lines[1] == f"Resuming after epoch {epochs_kept} of 3."
    assert resumed.weights.read_bytes() == uninterrupted.weights.read_bytes()
    assert not list((tmp_path / "killed").glob(".*.part"))
    told, whole = (
        [r.model_dump(exclude={"seconds"}) for r in result.history] for result in (resumed, uninterrupted)
    )
    assert told == whole


def test_what_was_decided_at_the_start_is_not_decided_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "has_bf16", lambda _: True)
    config = small(data, bf16="auto", epochs=1)
    train(config, tmp_path / "run")
    monkeypatch.setattr(loop, "has_bf16", lambda _: pytest.fail("decided again"))
    assert "Resuming after epoch 1 of 1." in told_by(config, tmp_path / "run")


def told_by(config: TrainConfig, run: Path) -> list[str]:
    heard = Heard()
    train(config, run, heard)
    return heard.lines


@pytest.mark.parametrize(
    ("flags", "has"), [({"avx512_bf16"}, True), ({"amx_bf16"}, True), ({"bf16"}, True), ({"avx2"}, False)]
)
def test_the_processors_flags_decide_on_bf16(
    flags: set[str], has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is timed: on a processor without it, trial steps took minutes."""
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset(flags))
    assert precision.has_bf16(torch.device("cpu")) is has


def test_another_seed_gives_other_weights(data: Path, tmp_path: Path) -> None:
    first = train(small(data, epochs=1), tmp_path / "0").weights.read_bytes()
    again = train(small(data, epochs=1), tmp_path / "again").weights.read_bytes()
    other = train(small(data, epochs=1, seed=1), tmp_path / "1").weights.read_bytes()
    assert first == again != other


def test_training_can_start_from_weights(data: Path, tmp_path: Path) -> None:
    first = train(small(data, epochs=1), tmp_path / "first")
    idle = small(data, epochs=1, initial=first.weights, peak_learning_rate=1e-30, weight_decay=0)
    second = train(idle, tmp_path / "second")
    model = find_model("resnet20-fashion")
    before, after = (dict(load_model(model, r.weights, 10).named_parameters()) for r in (first, second))
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_folder_with_another_run_is_left_alone(data: Path, tmp_path: Path) -> None:
    train(small(data, epochs=1), tmp_path / "run")
    with pytest.raises(
        UsageError, match="holds a run with other settings: seed = 0, not 1; epochs = 1, not 2"
    ):
        train(small(data, epochs=2, seed=1), tmp_path / "run")


def test_a_run_whose_images_have_changed_is_not_resumed(data: Path, tmp_path: Path) -> None:
    train(small(data, epochs=1), tmp_path / "run")
    write_idx_set(data, t10k=60, train=61)
    with pytest.raises(UsageError, match="began with training images"):
        train(small(data, epochs=1), tmp_path / "run")


def test_two_runs_never_share_a_folder(data: Path, tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path / "run").held(),
        pytest.raises(UsageError, match="Another training is running in"),
    ):
        train(small(data, epochs=1), tmp_path / "run")
    train(small(data, epochs=1), tmp_path / "run")


@pytest.mark.parametrize("name", ["run.json", "checkpoint.pt"])
def test_a_damaged_run_says_how_to_start_again(name: str, data: Path, tmp_path: Path) -> None:
    train(small(data, epochs=1), tmp_path / "run")
    file = tmp_path / "run" / name
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match=rf"{name} is damaged\. Remove .*run to start again"):
        train(small(data, epochs=1), tmp_path / "run")


def test_a_folder_that_cannot_be_made_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        train(small(data), tmp_path / "file" / "run")


def test_a_loss_that_explodes_stops_training(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"diverged in epoch 1\. Try a lower rate, --lr 0\.035"):
        train(small(data, peak_learning_rate=1e30), tmp_path / "run")


def test_data_that_cannot_be_trained_on_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="resnet18 has no data set of its own"):
        train(TrainConfig(model="resnet18"), tmp_path / "run")
    with pytest.raises(UsageError, match="come with edgec are for calibration and evaluation only"):
        train(TrainConfig(), tmp_path / "run")
    write_idx_set(tmp_path / "tested", t10k=10)
    with pytest.raises(DataError, match="has no images for train: it has test"):
        train(small(tmp_path / "tested"), tmp_path / "run")
    monkeypatch.setattr(held, "HELD_LIMIT", 1000)
    with pytest.raises(DataError, match="GiB decoded"):
        train(small(data), tmp_path / "run")


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        TrainConfig.model_validate({"epoch": 3})


def test_a_picture_in_two_classes_is_named_before_the_training(data: Path, tmp_path: Path) -> None:
    pixels = random_pixels(60, 0, channels=1)[:, :, :, 0]
    pixels[7] = pixels[3]
    (data / "train-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
    heard = Heard()
    train(small(data, epochs=1), tmp_path / "run", heard)
    (said,) = (line for line in heard.lines if "in two classes" in line)
    assert "1 picture is in two classes, and one of them is wrong" in said
    assert "[7] = " in said
