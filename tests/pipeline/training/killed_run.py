"""A training run that is killed at a moment of its second epoch."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.progress import Advance
from pipeline.training.loop import train
from pipeline.training.settings import TrainConfig


def train_and_die(output: Path, config: TrainConfig, moment: str) -> None:
    """Be a process that trains and is killed `within` the epoch, while `saving` it, or `after` it."""
    train(config, output, _Killing(moment))


def _die(*_: object, **__: object) -> None:
    """Be killed, also in the place of `os.fsync`."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Killing:
    def __init__(self, moment: str) -> None:
        self._moment = moment

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:
        done: list[int] = []

        def advance(count: int) -> None:
            done.append(count)
            if self._moment == "within" and what.startswith("epoch 2") and len(done) == 2:
                _die()

        yield advance
        if self._moment == "saving" and what.startswith("epoch 2"):
            os.fsync = _die  # the scratch file is written, not yet renamed

    def say(self, line: str) -> None:
        if self._moment == "after" and line.startswith("epoch 2"):
            _die()
