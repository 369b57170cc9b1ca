"""Quantisation-aware fine-tuning: the trained network is the one that is exported, resumed and built."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from calibration.metrics import closeness, logits
from pipeline.build.plan import Build
from pipeline.config import BuildConfig
from pipeline.data.embedded import EMBEDDED
from pipeline.errors import UsageError
from pipeline.progress import Silent
from pipeline.training.qat import QatStart, QatTrainer, train_quantized
from pipeline.training.settings import QatConfig
from pipeline.training.training_run import EpochRecord, Kept, RunFolder
from targets.runtime.tensorrt.sparse_weights import has_sparse_weights
from tests.conftest import Edgec
from tests.exact_session import run_exactly
from tests.pipeline.data.pictures import write_idx_set

RECIPES = ["w8a8_asym_mse_bc", "w8a8_sym_mse_pix"]


def _build(out: Path, recipe: str) -> Build:
    calibration = {"images": 64, "recipe": recipe}
    config = {"target": "reference", "out": out, "calibration": calibration}
    return Build(BuildConfig.model_validate(config), Silent())


def _graph(path: Path) -> list[tuple[str, list[str], list[str]]]:
    return [(n.op_type, list(n.input), list(n.output)) for n in onnx.load(path).graph.node]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_exported_graph_answers_as_the_trained_network_and_is_the_one_it_began_as(
    recipe: str, tmp_path: Path
) -> None:
    build = _build(tmp_path / "out", recipe)
    trainer = QatTrainer(QatConfig(batch_size=32, epochs=1), QatStart.of(build))
    shown = next(iter(build.calibration.batches(build.model.preprocessing, 64)))
    images, labels = torch.from_numpy(shown.images), torch.from_numpy(shown.labels)
    trainer.epoch(1, images, labels, lambda _: None)
    path = trainer.export(tmp_path / "qat.onnx")
    fresh = build.evaluation.stratified(100).batches(build.model.preprocessing, 100)
    batches = [batch.images for batch in fresh]
    assert trainer.agreement(path, batches) >= 0.99
    start = build.quantized_model.path
    assert _graph(path) == _graph(start)
    assert path.read_bytes() != start.read_bytes()
    with torch.no_grad():
        trained = np.concatenate([trainer.network(batch).numpy() for batch in batches])
    ours, before = (closeness(trained, logits(model, batches, True)).sqnr_db for model in (path, start))
    assert ours > 45  # a sum that lies on a half is rounded either way, in float32
    assert before < 40
    fused = np.concatenate([run_exactly(path, batch) for batch in batches])
    assert closeness(trained, fused).agreement > 0.99  # with onnxruntime's own roundings


def test_weights_that_were_pruned_stay_zero_while_the_others_move(tmp_path: Path) -> None:
    """So 2:4 sparsity can be fine-tuned: TensorRT finds the pattern in what comes out."""
    build = _build(tmp_path / "out", "w8a8_sym_mse_wmse_sparse_bc")
    trainer = QatTrainer(QatConfig(batch_size=32, epochs=1, weight_rate=0.5), QatStart.of(build))
    shown = next(iter(build.calibration.batches(build.model.preprocessing, 64)))
    trainer.epoch(1, torch.from_numpy(shown.images), torch.from_numpy(shown.labels), lambda _: None)
    path = trainer.export(tmp_path / "qat.onnx")
    weights = [
        [onnx.numpy_helper.to_array(one) for one in onnx.load(file).graph.initializer if one.data_type == 3]
        for file in (build.quantized_model.path, path)
    ]
    pruned = [pair for pair in zip(*weights, strict=True) if pair[0].ndim == 4 and pair[0].shape[1] % 4 == 0]
    assert len(pruned) == 18
    for before, after in pruned:
        fours = after.reshape(len(after), -1, 4, after[0, 0].size)
        assert ((fours != 0).sum(axis=2) <= 2).all()
        assert (before != after).mean() > 0.1
    assert has_sparse_weights(path.read_bytes())


def test_training_begins_as_the_quantised_model(tmp_path: Path) -> None:
    build = _build(tmp_path / "out", "w8a8_asym_mse_bc")
    trainer = QatTrainer(QatConfig(), QatStart.of(build))
    path = trainer.export(tmp_path / "qat.onnx")
    start = onnx.load(build.quantized_model.path)
    for before, after in zip(start.graph.initializer, onnx.load(path).graph.initializer, strict=True):
        assert before.name == after.name
        ours, theirs = onnx.numpy_helper.to_array(before), onnx.numpy_helper.to_array(after)
        np.testing.assert_allclose(ours.astype(np.float64), theirs.astype(np.float64), rtol=1e-6)


@pytest.fixture
def settings(tmp_path: Path) -> QatConfig:
    write_idx_set(tmp_path / "data", train=60, t10k=20)
    weights = EMBEDDED / "resnet20_fashion.safetensors"
    return QatConfig(
        data=tmp_path / "data", initial=weights, epochs=2, batch_size=18, calibration_images=6, threads=1
    )


def test_a_run_that_was_stopped_ends_with_the_bytes_of_one_that_was_not(
    settings: QatConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_quantized(settings, tmp_path / "whole")
    keep = RunFolder.save

    def stop(folder: RunFolder, trainer: Kept, history: list[EpochRecord]) -> None:
        keep(folder, trainer, history)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        train_quantized(settings, tmp_path / "stopped")
    monkeypatch.setattr(RunFolder, "save", keep)
    resumed = train_quantized(settings, tmp_path / "stopped")
    assert resumed.quantized.read_bytes() == whole.quantized.read_bytes()
    assert [record.epoch for record in resumed.history] == [1, 2]
    with pytest.raises(UsageError, match="other settings: epochs = 2, not 3"):
        train_quantized(settings.model_copy(update={"epochs": 3}), tmp_path / "stopped")


def test_a_build_takes_the_trained_graph_and_refuses_what_it_cannot_do_with_it(
    settings: QatConfig, edgec: Edgec, tmp_path: Path
) -> None:
    trained = train_quantized(settings.model_copy(update={"epochs": 1}), tmp_path / "run").quantized
    config = tmp_path / "edgec.toml"
    config.write_text(
        'target = "reference"\n[validation]\nimages = 100\n[latency]\nseconds = 0.1\n', encoding="utf-8"
    )
    asked = ["build", "--config", config, "--out", tmp_path / "out", "--quantized", trained]
    done = edgec(*asked, "--json")
    assert done.returncode in (0, 1), done.stderr
    subject = json.loads(done.stdout)["report"]["subject"]
    assert subject["int8_model_digest"] == hashlib.sha256(trained.read_bytes()).hexdigest()
    assert subject["recipe"] == settings.recipe
    refused = edgec(*asked, "--recipe", "w8a8_asym")
    assert refused.returncode == 2
    assert "calibration.recipe cannot be used" in refused.stderr
    again = edgec(*asked, "--json")
    assert all(step["cached"] for step in json.loads(again.stdout)["steps"])


def test_a_recipe_that_training_would_undo_is_refused(settings: QatConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"training moves one weight .* Leave 'nosat' out"):
        train_quantized(settings.model_copy(update={"recipe": "w8a8_asym_nosat"}), tmp_path / "run")
