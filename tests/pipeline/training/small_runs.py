"""Training runs of a second, and their messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.progress import Advance
from pipeline.training.settings import TrainConfig


def small(data: Path, **changed: object) -> TrainConfig:
    settings: dict[str, object] = {"data": data, "epochs": 3, "batch_size": 18, "threads": 1, "bf16": "off"}
    return TrainConfig.model_validate(settings | changed)


class Heard:
    """Keeps the messages of training."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, int | None, int]] = []
        self.lines: list[str] = []

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:
        done: list[int] = []
        yield done.append
        self.tasks.append((what, total, sum(done)))

    def say(self, line: str) -> None:
        self.lines.append(line)
