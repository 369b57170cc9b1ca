"""Trains a network on a data set, from the start or from where an earlier run stopped."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from pipeline.data.embedded import EMBEDDED
from pipeline.data.numbered_classes import in_order
from pipeline.data.open import open_dataset
from pipeline.data.split import Split
from pipeline.errors import UsageError
from pipeline.models.checkpoint import read_weights
from pipeline.models.zoo import find_model
from pipeline.progress import Progress, Silent
from pipeline.training.curves_page import render
from pipeline.training.failure import nothing_learned, refuse_divergence
from pipeline.training.free_cores import choose_threads
from pipeline.training.held import DamagedPictures, HeldImages, held_in_memory
from pipeline.training.judge import Judgement, judge, judge_together
from pipeline.training.optimise import class_weights
from pipeline.training.precision import find_device, has_bf16
from pipeline.training.processes import Processes, joined
from pipeline.training.settings import TrainConfig
from pipeline.training.suited import suited
from pipeline.training.trainer import Trainer
from pipeline.training.training_run import Decisions, EpochRecord, RunFolder
from pipeline.training.virtual_ranks import in_parts
from pipeline.training.watch import Watch, best_epoch, learned_and_watched, out_of_patience

SILENT = Silent()


@dataclass(frozen=True)
class TrainResult:
    """The final weights, and their accuracy on the evaluation images; None if there are none."""

    weights: Path
    history: tuple[EpochRecord, ...]
    judgement: Judgement | None
    nothing_learned: str | None
    """Why the weights do no better than guessing, and what to do; None if they do better."""
    is_first: bool = True
    """Whether this process, of those that torchrun started, writes files and messages."""


def train(config: TrainConfig, output: Path, progress: Progress = SILENT) -> TrainResult:
    """Train as `config` says into the folder `output`, or resume the run that is in it.

    Processes that torchrun has started divide the parts of each batch; the first one writes files and
    messages. On the same CPU, a run that was killed and resumed ends with the same bits as an uninterrupted
    one. The evaluation images are used only once, after the last epoch, unless they are watched. Raises
    PipelineError for settings, images or a folder that cannot be used.
    """
    with joined() as processes:
        return _train(config, output, progress if processes.is_first else SILENT, processes)


def _train(config: TrainConfig, output: Path, progress: Progress, processes: Processes) -> TrainResult:
    model = find_model(config.model)
    location = config.data or model.data
    if location is None:
        raise UsageError(f"{model.name} has no data set of its own. Give one with --data.")
    dataset = in_order(open_dataset(location, config.labels), config.class_order)
    if dataset.location == str(EMBEDDED) and not dataset.has("train"):
        raise UsageError(
            "The images that come with edgec are for calibration and evaluation only. Give pictures to train"
            " with: edgec train --data FOLDER."
        )
    classes = model.classes_for(len(dataset.classes))
    damaged = DamagedPictures(dataset.split("train"))
    split, watch = learned_and_watched(config, dataset, model, damaged)
    fitting = suited(config, model, len(split), classes)
    config = in_parts(fitting.config, len(split), processes)
    if fitting.said:
        progress.say(fitting.said)
    trainer = Trainer(config, model, classes, processes)
    held = [
        held_in_memory(split.subset(range(part, len(split), config.parts)), model, progress, damaged, part)
        for part in trainer.ranks.own
    ]
    if watch is not None and processes.is_first:
        watch.decode()
    damaged.refuse_if_too_many(processes)
    sets = [labels for told in processes.told([one.labels for one in held]) for labels in told]
    labels = torch.cat(sets)
    trainer.class_weights = class_weights(labels, classes, config.class_weights)
    folder = RunFolder(output)
    with folder.held() if processes.is_first else nullcontext():
        if processes.is_first and (twice := dataset.split("train").in_two_classes()):
            progress.say(f"{dataset.location}: {twice}")
        digest = dataset.split("train").digest
        record = processes.from_first(
            lambda: folder.begin(config, lambda: _decide(trainer, digest, progress))
        )
        _follow(record.decisions, trainer, digest, processes)
        run = Run(trainer, folder, watch, dataset.classes, progress, processes)
        history = run.epochs(held, trainer.steps(min(map(len, sets))))
        network = run.best()
        judgement = None
        if processes.is_first:
            folder.finish(network)
        if dataset.has("evaluation"):
            judgement = run.judge(network, dataset.split("evaluation"))
        run.draw(history, judgement, finished=True)
    nothing = nothing_learned(history, labels, config)
    return TrainResult(folder.weights, tuple(history), judgement, nothing, processes.is_first)


@dataclass(frozen=True)
class Run:
    """The epochs of one run; saves and shows their results."""

    trainer: Trainer
    folder: RunFolder
    watch: Watch | None
    classes: tuple[str, ...]
    progress: Progress
    processes: Processes

    def epochs(self, held: Sequence[HeldImages], steps: int) -> list[EpochRecord]:
        """Train and save the epochs that the folder does not have yet; return the whole history."""
        trainer, config = self.trainer, self.trainer.config
        history = self.processes.from_first(lambda: self.folder.restore(trainer))
        if history:
            if self.processes.count > 1:
                trainer.restore(self.processes.from_first(trainer.state))
            self.progress.say(f"Resuming after epoch {len(history)} of {config.epochs}.")
        for number in range(len(history) + 1, config.epochs + 1):
            if out_of_patience(history, config.patience):
                self.progress.say(f"Stopped: the lowest held-out loss was in epoch {best_epoch(history)}.")
                break
            name = f"epoch {number} of {config.epochs}"
            with self.progress.task(name, steps) as advance:
                record = trainer.epoch(number, held, steps, advance)
            record = self.processes.from_first(partial(self._watched, record))
            history.append(record)
            refuse_divergence(history, len(self.classes), config)
            if self.processes.is_first:
                if config.patience and best_epoch(history) == number:
                    self.folder.keep_best(trainer.outcome)
                self.folder.save(trainer, history)
            self.draw(history, None, finished=False)
            self.progress.say(_epoch_line(record, config.epochs))
        return history

    def best(self) -> nn.Module:
        """Return the network of the best epoch if `patience` is set, else of the last."""
        network = self.trainer.outcome
        if self.trainer.config.patience:
            state = self.processes.from_first(lambda: read_weights(self.folder.best))
            network.load_state_dict(state, strict=False)
        return network

    def judge(self, network: nn.Module, split: Split) -> Judgement:
        """Evaluate the network and write evaluation.json."""
        model = self.trainer.model
        with self.progress.task("evaluate", len(split)) as advance:
            if self.trainer.config.parts == 1:
                found = judge(network, model, split, advance)
            else:
                found = judge_together(network, model, split, advance, self.processes)
        if self.processes.is_first:
            self.folder.write("evaluation.json", json.dumps(_as_json(found, self.classes)))
        return found

    def draw(self, history: list[EpochRecord], judgement: Judgement | None, finished: bool) -> None:
        """Write training.html."""
        if not self.processes.is_first:
            return
        config = self.trainer.config
        title = f"Training {config.model}"
        self.folder.write(
            "training.html", render(title, config.epochs, history, self.classes, judgement, finished)
        )

    def _watched(self, record: EpochRecord) -> EpochRecord:
        if self.watch is None:
            return record
        return record.model_copy(update={"watched": self.watch.look(self.trainer.outcome)})


def _epoch_line(record: EpochRecord, epochs: int) -> str:
    watched = record.watched
    seen = f"  {watched.images.replace('_', ' ')} {watched.accuracy:.2%}" if watched else ""
    return (
        f"epoch {record.epoch:>{len(str(epochs))}} of {epochs}  {record.side} px  loss {record.loss:.4f}"
        f"  training accuracy {record.accuracy:.2%}{seen}  {record.seconds:.0f} s"
    )


def _as_json(judgement: Judgement, classes: tuple[str, ...]) -> dict[str, object]:
    return {
        "right": judgement.right,
        "evaluated": judgement.seen,
        "loss": judgement.loss,
        "balanced_accuracy": judgement.balanced_accuracy,
        "classes": classes,
        "confusion": judgement.confusion.tolist(),
    }


def _decide(trainer: Trainer, digest: str, progress: Progress) -> Decisions:
    """Make, at the start of a run, the decisions that all of its parts share."""
    config = trainer.config
    trainer.move(find_device(config.device))
    wanted = 1 if config.threads is None and config.parts > 1 else config.threads  # bits depend on it
    threads = choose_threads(wanted, progress)
    bf16 = config.bf16 == "on" or (config.bf16 == "auto" and has_bf16(trainer.device))
    return Decisions(
        bf16=bf16,
        device=trainer.device.type,
        threads=threads,
        torch=torch.__version__,
        data_digest=digest,
    )


def _follow(decisions: Decisions, trainer: Trainer, digest: str, processes: Processes) -> None:
    """Apply the decisions. Raises UsageError if this machine would not give the same bits."""
    for what, begun, now in (
        ("torch", decisions.torch, torch.__version__),
        ("training images", decisions.data_digest, digest),
    ):
        if begun != now:
            raise UsageError(f"The run began with {what} {begun}, and now it is {now}. Use another folder.")
    torch.set_num_threads(decisions.threads)
    trainer.move(find_device(decisions.device, processes))
    trainer.bf16 = decisions.bf16
