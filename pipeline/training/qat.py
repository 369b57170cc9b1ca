"""Quantisation-aware fine-tuning of a quantised model.

The network that learns is the Q/DQ graph (`calibration.fake_quant`), so what is exported computes what was
trained. The loss is the cross-entropy of the labels, and the KL divergence from the float network's outputs
(Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, at temperature 1).
"""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from calibration.correction import Correction
from calibration.fake_quant import FakeQuantized, Rates
from calibration.metrics import closeness, logits
from calibration.onnx_graph import OnnxGraph
from calibration.parameters import Parameters
from calibration.placement import Placement, place
from calibration.qdq import save_quantized
from calibration.qdq_reader import read_parameters
from calibration.recipe import QuantRecipe
from calibration.replay import Replay
from pipeline.build.plan import Build
from pipeline.cache.store import writing
from pipeline.config import BuildConfig
from pipeline.errors import UsageError
from pipeline.progress import Advance, Progress, Silent
from pipeline.training import augment
from pipeline.training.free_cores import choose_threads
from pipeline.training.held import held_in_memory
from pipeline.training.processes import refuse_torchrun
from pipeline.training.settings import QatConfig
from pipeline.training.training_run import Decisions, EpochRecord, RunFolder

QUANTIZED = "model.int8.onnx"
CHECK_IMAGES = 2000
"""Evaluation images on which the exported graph is compared with the network that was trained."""
BATCH = 100

SILENT = Silent()


@dataclass(frozen=True)
class QatResult:
    """The trained Q/DQ graph, and how often its top-1 in onnxruntime is that of the trained network."""

    quantized: Path
    history: tuple[EpochRecord, ...]
    agreement: float
    checked: int


@dataclass(frozen=True)
class QatStart:
    """The start of training: a float graph, its placement of quantisation, and its parameters."""

    graph: OnnxGraph
    placement: Placement
    recipe: QuantRecipe
    start: Parameters

    @classmethod
    def of(cls, build: Build) -> "QatStart":
        """Start from a build's quantised model."""
        graph = OnnxGraph.load(build.prepared_model.path)
        placement = place(graph, build.recipe, wide=build.ranges.load().wide)
        start = read_parameters(build.quantized_model.path, graph, placement)
        return cls(graph, placement, build.recipe, start)


def train_quantized(config: QatConfig, output: Path, progress: Progress = SILENT) -> QatResult:
    """Train as `config` says into the folder `output`, or resume the run that is in it.

    Writes model.int8.onnx, a Q/DQ graph with the nodes of the quantised model that it started from, and
    qat.json. Evaluation images are only used to check that onnxruntime agrees. Raises PipelineError or
    CalibrationError for settings, images or a folder that cannot be used.
    """
    refuse_torchrun("Fine-tuning a quantised network")
    build = Build(_start_of(config, output), progress)
    _check_trainable(build.recipe)
    subject = QatStart.of(build)
    split = build.dataset.split("train")
    held = held_in_memory(split, build.model, progress)
    images, labels = held.images, held.labels
    trainer = QatTrainer(config, subject)
    folder = RunFolder(output)
    with folder.held():
        record = folder.begin(config, lambda: _decisions(config, split.digest, progress))
        if record.decisions.data_digest != split.digest:
            raise UsageError(
                f"The training images have changed since {output} was begun. Use another folder."
            )
        torch.set_num_threads(record.decisions.threads)
        history = folder.restore(trainer)
        for number in range(len(history) + 1, config.epochs + 1):
            with progress.task(f"epoch {number} of {config.epochs}", trainer.steps(len(images))) as advance:
                history.append(trainer.epoch(number, images, labels, advance))
            folder.save(trainer, history)
            last = history[-1]
            progress.say(
                f"epoch {number} of {config.epochs}  loss {last.loss:.4f}  training accuracy "
                f"{last.accuracy:.2%} in INT8  {last.seconds:.0f} s"
            )
        quantized = trainer.export(output / QUANTIZED)
        check = build.evaluation.stratified(CHECK_IMAGES, seed=0)
        seen = [batch.images for batch in check.batches(build.model.preprocessing, BATCH)]
        agreement = trainer.agreement(quantized, seen)
        checked = sum(map(len, seen))
        folder.write("qat.json", json.dumps({"agreement": agreement, "images": checked}))
    return QatResult(quantized, tuple(history), agreement, checked)


def _check_trainable(recipe: QuantRecipe) -> None:
    """Raise UsageError for a recipe whose correction training would undo."""
    for one in recipe.of_kind(Correction):
        if one.undone_by_training:
            raise UsageError(
                f"{recipe.name} cannot be trained on: {one.undone_by_training}. "
                f"Leave '{one.word}' out of the recipe."
            )


class QatTrainer:
    """Trains a fake-quantised network on images uint8 [N, H, W, C] and labels int64 [N] held in memory.

    Randomness depends only on the seed and the number of the epoch.
    """

    def __init__(self, config: QatConfig, subject: QatStart) -> None:
        self.config, self.subject = config, subject
        self.teacher = Replay(subject.graph)
        sparse = any(one.kept_in_training for one in subject.recipe.of_kind(Correction))
        self.network = FakeQuantized(
            subject.graph, subject.placement, subject.start, limit=None, stays_sparse=sparse
        )
        rates = Rates(config.weight_rate, config.bias_rate, config.scale_rate)
        self.optimiser = torch.optim.Adam(self.network.groups(rates))
        self._rates = [group["lr"] for group in self.optimiser.param_groups]

    def state(self) -> dict[str, Any]:
        """Return everything that an epoch changes."""
        return {"model": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.network.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])

    def steps(self, images: int) -> int:
        """Return the number of steps in an epoch."""
        return -(-images // self.config.batch_size)

    def epoch(self, number: int, images: Tensor, labels: Tensor, advance: Advance) -> EpochRecord:
        """Train epoch `number`, counted from 1. Raises UsageError if the loss is no longer finite."""
        begun, steps = time.perf_counter(), self.steps(len(images))
        random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + number)
        loss_sum, right = 0.0, 0
        order = torch.randperm(len(images), generator=random)
        for step, chosen in enumerate(torch.split(order, self.config.batch_size)):
            self._set_rates(((number - 1) * steps + step) / (steps * self.config.epochs))
            loss, correct = self.step(self._changed(images[chosen], random), labels[chosen])
            if not math.isfinite(loss):
                raise UsageError(
                    f"Training diverged in epoch {number}: lower scale_rate and bias_rate, then weight_rate."
                )
            loss_sum, right = loss_sum + loss, right + correct
            advance(1)
        return EpochRecord(
            epoch=number,
            side=images.shape[1],
            learning_rate=self.optimiser.param_groups[0]["lr"],
            loss=loss_sum / steps,
            accuracy=right / len(images),
            seconds=time.perf_counter() - begun,
        )

    def step(self, batch: NDArray[np.uint8], wanted: Tensor) -> tuple[float, int]:
        """Take one optimiser step; return the loss and the number of correct images."""
        with torch.no_grad():
            target, _ = self.teacher.run(batch)
        found = self.network(batch)
        distance = functional.kl_div(
            found.log_softmax(1), target.log_softmax(1), log_target=True, reduction="batchmean"
        )
        share = self.config.teacher
        loss = (1 - share) * functional.cross_entropy(found, wanted) + share * distance
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        return loss.item(), int((found.argmax(1) == wanted).sum())

    def export(self, path: Path) -> Path:
        """Write the Q/DQ graph. Raises LintError if it breaks a rule of placement."""
        subject, scratch = self.subject, path.with_name(f".{path.name}.part")
        with writing(path.parent, "--output"):
            save_quantized(subject.graph, subject.placement, self.network.found(), subject.recipe, scratch)
            scratch.replace(path)
        return path

    def agreement(self, quantized: Path, batches: list[NDArray[np.uint8]]) -> float:
        """Return the share of images for which the exported graph has the network's top-1."""
        with torch.no_grad():
            trained = np.concatenate([self.network(batch).numpy() for batch in batches])
        return closeness(trained, logits(quantized, batches, as_written=True)).agreement

    def _changed(self, batch: Tensor, random: torch.Generator) -> NDArray[np.uint8]:
        """Crop and mirror at random."""
        margin = round(self.config.crop_margin * batch.shape[1])
        cropped = augment.random_crop(batch, margin, random)
        changed = augment.random_flip(cropped, random) if self.config.flip else cropped
        return np.ascontiguousarray(changed.numpy())

    def _set_rates(self, done: float) -> None:
        """Set the learning rates of a cosine decay."""
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * done))


def _start_of(config: QatConfig, output: Path) -> BuildConfig:
    """The configuration of the build whose quantised model is trained."""
    return BuildConfig.model_validate(
        {
            "model": config.model,
            "target": "reference",
            "data": config.data,
            "labels": config.labels,
            "checkpoint": config.initial,
            "weights": config.weights,
            "class_order": config.class_order,
            "out": output / "start",
            "calibration": {"recipe": config.recipe, "images": config.calibration_images},
        }
    )


def _decisions(config: QatConfig, digest: str, progress: Progress) -> Decisions:
    threads = choose_threads(config.threads, progress)
    return Decisions(bf16=False, threads=threads, torch=torch.__version__, data_digest=digest)
