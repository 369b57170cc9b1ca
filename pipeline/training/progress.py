"""Who is told how training goes."""

from typing import Protocol

from pipeline.training.run import EpochRecord


class Progress(Protocol):
    """What a progress bar needs to know."""

    def begin(self, epochs: int, steps: int, done: int) -> None:
        """Training starts, after `done` of `epochs` epochs of `steps` steps each."""
        ...

    def step(self, epoch: int, step: int, loss: float) -> None:
        """A step of an epoch is done; both count from 1."""
        ...

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is done and saved."""
        ...


class Silent:
    """Progress that nobody is told of."""

    def begin(self, epochs: int, steps: int, done: int) -> None:
        """Say nothing."""

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Say nothing."""

    def epoch(self, record: EpochRecord) -> None:
        """Say nothing."""
