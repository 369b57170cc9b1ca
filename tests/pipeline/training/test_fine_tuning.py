"""Fine-tuning, averaging, watching and stopping work as documented, also after a resume."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from pipeline.data.open import open_dataset
from pipeline.errors import CheckpointError, UsageError
from pipeline.models import resnet
from pipeline.models.architecture import Architecture
from pipeline.models.checkpoint import load_model, read_weights
from pipeline.models.zoo import find_model
from pipeline.training.curves_page import curves, most_confused, render
from pipeline.training.judge import Judgement
from pipeline.training.loop import train
from pipeline.training.thaw import stages_from_the_head, thawed
from pipeline.training.trainer import BatchPart, Trainer
from pipeline.training.training_run import EpochRecord, Watched
from pipeline.training.watch import Watch, best_epoch, learned_and_watched, out_of_patience
from tests.pipeline.training.small_runs import Heard, small


def network(classes: int = 7, preactivation: bool = False) -> nn.Module:
    torch.manual_seed(1)
    return resnet.build(Architecture("cifar", 8, preactivation=preactivation), 1, classes)


def saved(made: nn.Module, path: Path) -> Path:
    safetensors.torch.save_file(made.state_dict(), path)
    return path


def test_a_new_head_keeps_every_other_weight(tmp_path: Path) -> None:
    old = network(classes=7).state_dict()
    path = saved(network(7), tmp_path / "w.safetensors")
    new = load_model(find_model("resnet8-fashion"), path, 10, new_head=True)
    for key, value in new.state_dict().items():
        if key.startswith("linear"):
            assert value.shape[0] == 10
        elif "num_batches" not in key:
            assert torch.equal(value, old[key]), key


def test_a_new_head_does_not_allow_another_network(tmp_path: Path) -> None:
    path = saved(network(7), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="does not fit resnet14-fashion with 7 classes"):
        load_model(find_model("resnet14-fashion"), path, 10, new_head=True)


def test_a_checkpoint_of_other_classes_can_be_fine_tuned(data: Path, tmp_path: Path) -> None:
    path = saved(network(7), tmp_path / "w.safetensors")
    config = small(data, model="resnet8-fashion", initial=path, epochs=1)
    with pytest.raises(CheckpointError, match="or train a new head"):
        train(config, tmp_path / "run")
    config = small(data, model="resnet8-fashion", initial=path, epochs=2, new_head=True, thaw=0.5)
    result = train(config, tmp_path / "run")
    assert read_weights(result.weights)["linear.bias"].shape == (10,)


@pytest.mark.parametrize("preactivation", [False, True])
def test_stages_thaw_from_the_head_to_the_stem(preactivation: bool) -> None:
    made = network(preactivation=preactivation)
    assert [thawed(made, epoch, 10, share=0.5) for epoch in range(1, 11)] == [1, 1, 2, 3, 4, 5, 5, 5, 5, 5]
    stages = stages_from_the_head(made)
    assert {id(p) for stage in stages for part in stage for p in part.parameters()} == {
        id(p) for p in made.parameters()
    }
    assert stages[0][0] is resnet.classifier(made)
    assert stages[-1][0] is made.conv1
    assert (made.bn1 in stages[0]) is preactivation


def test_frozen_stages_keep_weights_and_statistics(data: Path, tmp_path: Path) -> None:
    path = saved(network(10), tmp_path / "w.safetensors")
    config = small(data, model="resnet8-fashion", initial=path, epochs=1, thaw=1)
    before, after = network(10).state_dict(), read_weights(train(config, tmp_path / "run").weights)
    for key, value in after.items():
        assert torch.equal(value, before[key]) is (not key.startswith("linear")), key


def test_an_average_of_the_weights_is_kept(data: Path) -> None:
    config = small(data, model="resnet8-fashion", average=0.99, epochs=2)
    trainer = Trainer(config, find_model("resnet8-fashion"), 10)
    expected = {key: value.clone() for key, value in trainer.network.named_parameters()}
    images = torch.randint(0, 256, (18, 32, 32, 1), dtype=torch.uint8)
    labels = torch.arange(18) % 10
    for n in range(4):
        trainer.step([BatchPart(images, labels, torch.Generator())], 32, 0.1)
        weight = 0.0 if n == 0 else min(0.99, (1 + n) / (10 + n))
        for key, value in trainer.network.named_parameters():
            expected[key] = weight * expected[key] + (1 - weight) * value.detach()
    for key, value in trainer.outcome.named_parameters():
        torch.testing.assert_close(value, expected[key])
    assert not torch.equal(next(trainer.outcome.parameters()), next(trainer.network.parameters()))


def test_a_run_with_everything_resumes_to_the_same_bits(data: Path, tmp_path: Path) -> None:
    chosen = {
        "model": "resnet8-fashion",
        "epochs": 4,
        "average": 0.9,
        "zoom": 0.5,
        "colour": 0.3,
        "erase": 0.5,
        "class_weights": "balanced",
        "watch": "held_out",
        "patience": 4,
        "silent_branches": True,
    }
    config = small(data, **chosen)
    whole = train(config, tmp_path / "whole")

    class Stop(Heard):
        def say(self, line: str) -> None:
            if line.startswith("epoch 2"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "parts", Stop())
    resumed = train(config, tmp_path / "parts")
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()
    assert (tmp_path / "parts" / "best.safetensors").read_bytes() == whole.weights.read_bytes()


def record(epoch: int, loss: float) -> EpochRecord:
    watched = Watched(images="held_out", loss=loss, accuracy=0.5)
    return EpochRecord(
        epoch=epoch, side=32, learning_rate=0.1, loss=1, accuracy=0.5, seconds=1, watched=watched
    )


def test_patience_counts_epochs_since_the_lowest_loss() -> None:
    history = [record(n, loss) for n, loss in enumerate([3.0, 2.0, 2.5, 2.0, 2.1], start=1)]
    assert best_epoch(history) == 2
    assert [out_of_patience(history[:n], 2) for n in range(1, 6)] == [False, False, False, True, True]
    assert not out_of_patience(history, 0)
    assert not out_of_patience([], 2)


def test_training_stops_early_and_keeps_the_best_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([2.0, 1.0, 1.5, 1.6, 0.1])
    looked: list[dict[str, torch.Tensor]] = []

    def look(_: object, made: nn.Module) -> Watched:
        looked.append({key: value.detach().clone() for key, value in made.named_parameters()})
        return Watched(images="held_out", loss=next(losses), accuracy=0.5)

    monkeypatch.setattr(Watch, "look", look)
    heard = Heard()
    config = small(data, model="resnet8-fashion", epochs=9, watch="held_out", patience=2)
    result = train(config, tmp_path / "run", heard)
    assert len(result.history) == 4
    assert heard.lines[-1] == "Stopped: the lowest held-out loss was in epoch 2."
    kept = read_weights(result.weights)
    assert all(torch.equal(kept[key], value) for key, value in looked[1].items())


def test_held_out_images_are_not_learned(data: Path) -> None:
    config = small(data, watch="held_out", hold_out=0.2)
    dataset = open_dataset(data)
    learned, watch = learned_and_watched(config, dataset, find_model("resnet20-fashion"))
    assert watch is not None
    whole = {sample.digest for sample in dataset.split("train").samples}
    parts = [{sample.digest for sample in split.samples} for split in (learned, watch.split)]
    assert parts[0] | parts[1] == whole
    assert not parts[0] & parts[1]
    assert len(watch.split) == round(0.2 * len(dataset.split("train")))


def test_choosing_by_the_evaluation_images_is_refused() -> None:
    with pytest.raises(ValueError, match="would flatter the accuracy"):
        small(Path("x"), watch="evaluation", patience=3)
    with pytest.raises(ValueError, match="new_head needs a checkpoint"):
        small(Path("x"), new_head=True)
    with pytest.raises(ValueError, match="drops are shares"):
        small(Path("x"), drops=(0.75, 0.5))


def test_a_gpu_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match=r'no CUDA device on this machine\. Set device = "cpu"'):
        train(small(data, device="cuda"), tmp_path / "run")


def test_a_run_leaves_its_curves_and_confusions(data: Path, tmp_path: Path) -> None:
    result = train(small(data, model="resnet8-fashion", watch="evaluation"), tmp_path / "run")
    told = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result.judgement is not None
    assert np.array(told["confusion"]).shape == (10, 10)
    assert told["evaluated"] == 20
    assert told["right"] == result.judgement.right == sum(np.diag(told["confusion"]))
    last = result.history[-1].watched
    assert last is not None
    assert last.accuracy == pytest.approx(result.judgement.accuracy)
    assert last.loss == pytest.approx(result.judgement.loss)
    page = (tmp_path / "run" / "training.html").read_text()
    assert "finished, epoch 3 of 3" in page
    assert "location.reload()" not in page
    assert page.count("<svg") == 2


def test_the_page_of_a_running_training_reads_itself_again() -> None:
    page = render("T", 9, [record(1, 2.0)], ("a",), None, finished=False)
    assert "location.reload()" in page
    assert 'id="again" checked' in page, "whoever reads it can stop that"
    assert [list(chart.lines) for chart in curves([record(1, 2.0)])] == [["as learned", "held out"]] * 2


def test_balanced_accuracy_counts_rare_classes_as_much() -> None:
    judgement = Judgement(0.5, np.array([[90, 10, 0], [5, 5, 0], [0, 0, 0]]))
    assert judgement.accuracy == pytest.approx(95 / 110)
    assert judgement.balanced_accuracy == pytest.approx((0.9 + 0.5) / 2)
    assert most_confused(judgement.confusion) == [(0, 1, 10), (1, 0, 5)]
