"""A training run on disk.

run.json             configuration and decisions, written once, when the run begins
checkpoint.pt        weights, momentum and history after the last full epoch
history.jsonl        the history again, one line an epoch, for people and plots
training.html        the curves, and in the end the confusion matrix
best.safetensors     weights of the epoch with the lowest held-out loss, if `patience` is set
weights.safetensors  the final weights; there once the run is finished
evaluation.json      what they get right on the evaluation images

Each file is replaced atomically, so that a kill leaves the old one or the new one.
"""

import fcntl
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from pipeline.cache.atomic import replacing
from pipeline.cache.store import writing
from pipeline.errors import CheckpointError, UsageError
from pipeline.models.weights.content import DAMAGE
from pipeline.training.settings import QatConfig, TrainConfig


class Decisions(BaseModel):
    """Decisions made on this machine, saved so that a resumed run computes the same bits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bf16: bool
    device: str = "cpu"
    threads: int
    torch: str
    data_digest: str


class RunRecord(BaseModel):
    """The content of run.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    config: TrainConfig | QatConfig
    decisions: Decisions


class Watched(BaseModel):
    """Loss and accuracy after an epoch on images that are not trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Literal["held_out", "evaluation"]
    loss: float
    accuracy: float


class EpochRecord(BaseModel):
    """One line of the history; loss and accuracy are those of the augmented training images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: int
    side: int
    learning_rate: float
    loss: float
    accuracy: float
    seconds: float
    watched: Watched | None = None


class Kept(Protocol):
    """An object whose state is part of a run's."""

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values by name."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        ...


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run."""

    path: Path

    @property
    def weights(self) -> Path:
        """The final weights."""
        return self.path / "weights.safetensors"

    @property
    def best(self) -> Path:
        """The weights of the best epoch so far."""
        return self.path / "best.safetensors"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Create and lock the folder. Raises UsageError if another training holds the lock."""
        with writing(self.path, "--output"):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("w")
        with lock:
            try:
                fcntl.flock(
                    lock, fcntl.LOCK_EX | fcntl.LOCK_NB
                )  # the lock ends with the process, also by a kill
            except BlockingIOError:
                raise UsageError(
                    f"Another training is running in {self.path}. Give another folder."
                ) from None
            yield

    def begin(self, config: TrainConfig | QatConfig, decide: Callable[[], Decisions]) -> RunRecord:
        """Return the record of the run in this folder, or write one for a new run.

        Raises UsageError if the folder holds a run with other settings, CheckpointError for a damaged record.
        """
        path = self.path / "run.json"
        if not path.exists():
            record = RunRecord(config=config, decisions=decide())
            _replace(path, record.model_dump_json(indent=2).encode() + b"\n")
            return record
        try:
            record = RunRecord.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise CheckpointError(f"{path} is damaged. Remove {self.path} to start again.") from error
        found, wanted = record.config.model_dump(), config.model_dump()
        different = [
            f"{key} = {found.get(key)}, not {wanted[key]}" for key in wanted if found.get(key) != wanted[key]
        ]
        if different:
            raise UsageError(
                f"{self.path} holds a run with other settings: {'; '.join(different)}."
                " Resume it with the same settings, or give another folder."
            )
        return record

    def save(self, kept: Kept, history: list[EpochRecord]) -> None:
        """Save the state after the last epoch of `history`."""
        lines = [record.model_dump_json() for record in history]
        buffer = io.BytesIO()
        torch.save(kept.state() | {"history": lines}, buffer)
        _replace(self.path / "checkpoint.pt", buffer.getvalue())
        _replace(self.path / "history.jsonl", "".join(f"{line}\n" for line in lines).encode())

    def restore(self, kept: Kept) -> list[EpochRecord]:
        """Load the last state into `kept`; return the history, empty for a new run.

        Raises CheckpointError if the file is damaged.
        """
        path = self.path / "checkpoint.pt"
        if not path.exists():
            return []
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            kept.restore(state)
            return [EpochRecord.model_validate_json(line) for line in state["history"]]
        except DAMAGE as error:
            raise CheckpointError(f"{path} is damaged. Remove {self.path} to start again.") from error

    def keep_best(self, network: nn.Module) -> None:
        """Save the weights of the best epoch so far."""
        _replace(self.best, _encoded(network))

    def finish(self, network: nn.Module) -> Path:
        """Write the final weights, float32, and return their file."""
        _replace(self.weights, _encoded(network))
        return self.weights

    def write(self, name: str, text: str) -> None:
        """Write a file of text."""
        _replace(self.path / name, text.encode())


def _encoded(network: nn.Module) -> bytes:
    kept = {
        key: value.cpu().contiguous()
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    return safetensors.torch.save(kept)


def _replace(path: Path, content: bytes) -> None:
    """Write `path` atomically. Raises StorageError if that fails."""
    with writing(path.parent, "--output"), replacing(path) as scratch:
        scratch.write_bytes(content)
