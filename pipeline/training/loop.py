"""Train a network on a data set, from the start or from where a killed run stopped."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.data import open_dataset
from pipeline.data.split import Split
from pipeline.errors import DataError, UsageError
from pipeline.models.resnet import FromPixels
from pipeline.models.zoo import KnownModel, find_model
from pipeline.progress import Advance, Progress, Silent
from pipeline.training.config import TrainConfig
from pipeline.training.precision import bf16_is_faster
from pipeline.training.run import Decisions, EpochRecord, RunFolder
from pipeline.training.trainer import Trainer

HELD_LIMIT = 8 * 2**30
"""Bytes of decoded training images: all are held in memory."""

SILENT = Silent()


@dataclass(frozen=True)
class TrainResult:
    """The final weights, and how many of the evaluation images they get right; None without such images."""

    weights: Path
    history: tuple[EpochRecord, ...]
    right: int | None
    evaluated: int | None


def train(config: TrainConfig, output: Path, progress: Progress = SILENT) -> TrainResult:
    """Train as `config` says into the folder `output`, or resume the run that is in it.

    A run that was killed and resumed ends with the same bits as one that was not, on the same machine. The
    evaluation images are used once, after the last epoch. Raises PipelineError for settings, images or a
    folder that cannot be used.
    """
    model = find_model(config.model)
    location = config.data or model.data
    if location is None:
        raise UsageError(f"{model.name} has no data set of its own. Name one with --data.")
    dataset = open_dataset(location, config.labels)
    split = dataset.split("train")
    trainer = Trainer(config, model, model.classes_for(len(dataset.classes)))
    images, labels = _held(split, model, progress)
    folder = RunFolder(output)
    with folder.held():
        record = folder.begin(config, lambda: _decide(trainer, images, labels, split.digest))
        _follow(record.decisions, trainer, split.digest)
        history = _epochs(trainer, images, labels, folder, progress)
        weights = folder.finish(trainer.network)
    right = evaluated = None
    if dataset.has("evaluation"):
        evaluation = dataset.split("evaluation")
        with progress.task("evaluate", len(evaluation)) as advance:
            right, evaluated = count_right(trainer.network, model, evaluation, advance)
    return TrainResult(weights, tuple(history), right, evaluated)


def _epochs(
    trainer: Trainer, images: Tensor, labels: Tensor, folder: RunFolder, progress: Progress
) -> list[EpochRecord]:
    """Train the epochs that the folder does not have yet, keeping each; return the whole history."""
    epochs = trainer.config.epochs
    history = folder.restore(trainer.network, trainer.optimiser)
    if history:
        progress.say(f"Resuming after epoch {len(history)} of {epochs}.")
    for number in range(len(history) + 1, epochs + 1):
        with progress.task(f"epoch {number} of {epochs}", trainer.steps(len(images))) as advance:
            history.append(trainer.epoch(number, images, labels, advance))
        folder.save(trainer.network, trainer.optimiser, history)
        progress.say(_told(history[-1], epochs))
    return history


def count_right(network: nn.Module, model: KnownModel, split: Split, advance: Advance) -> tuple[int, int]:
    """Return how many images of `split` the network classifies rightly in float32, and how many it saw."""
    eyes = FromPixels(network, model.mean, model.std).eval()
    right = seen = 0
    with torch.inference_mode():
        for batch in split.batches(model.preprocessing, batch_size=250):
            predicted = eyes(torch.from_numpy(batch.images)).argmax(1).numpy()
            right += int((predicted == batch.labels).sum())
            seen += len(batch.labels)
            advance(len(batch.labels))
    return right, seen


def _told(record: EpochRecord, epochs: int) -> str:
    return (
        f"epoch {record.epoch:>{len(str(epochs))}} of {epochs}  {record.side} px  loss {record.loss:.4f}"
        f"  training accuracy {record.accuracy:.2%}  {record.seconds:.0f} s"
    )


def _held(split: Split, model: KnownModel, progress: Progress) -> tuple[Tensor, Tensor]:
    """Decode a whole split: uint8 [N, H, W, C], int64 [N]. Raises DataError if that is too large."""
    size = len(split) * int(np.prod(model.input_shape))
    if size > HELD_LIMIT:
        raise DataError(
            f"{len(split)} training images of {model.name} take {size / 2**30:.1f} GiB decoded; at most"
            f" {HELD_LIMIT / 2**30:.0f} GiB are held. Train on fewer, or elsewhere, and bring the checkpoint."
        )
    images = torch.empty((len(split), *model.input_shape), dtype=torch.uint8)
    labels = torch.empty(len(split), dtype=torch.int64)
    held = 0
    with progress.task("decode", len(split)) as advance:
        for batch in split.batches(model.preprocessing, batch_size=256):
            n = len(batch.labels)
            images[held : held + n] = torch.from_numpy(batch.images)
            labels[held : held + n] = torch.from_numpy(batch.labels)
            held += n
            advance(n)
    if held < 2:
        raise DataError(f"There are {held} training images; batch normalisation needs at least two.")
    return images[:held], labels[:held]


def _decide(trainer: Trainer, images: Tensor, labels: Tensor, digest: str) -> Decisions:
    """Settle at the start of a run what later parts of it must do the same way."""
    config = trainer.config
    threads = config.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    bf16 = config.bf16 == "on" or (config.bf16 == "auto" and bf16_is_faster(trainer, images, labels))
    return Decisions(bf16=bf16, threads=threads, torch=torch.__version__, data_digest=digest)


def _follow(decisions: Decisions, trainer: Trainer, digest: str) -> None:
    """Compute as decided. Raises UsageError where that would not give the same bits."""
    for what, begun, now in (
        ("torch", decisions.torch, torch.__version__),
        ("training images", decisions.data_digest, digest),
    ):
        if begun != now:
            raise UsageError(
                f"The run was begun with {what} {begun}, now there is {now}. Use another folder."
            )
    torch.set_num_threads(decisions.threads)
    trainer.bf16 = decisions.bf16
