"""The processes of one training that torchrun starts: their ranks, and the exchange of values.

Gloo transfers values on CPUs, NCCL those on GPUs. Values are gathered, not reduced, so that the caller adds
them in a fixed order.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from pipeline.errors import TrainingError, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """One process among `count`; alone, unless torchrun has started it."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Its number on its own machine."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes files and messages."""
        return self.rank == 0

    def gathered(self, rows: Tensor) -> Tensor:
        """Return the rows [n, ...] of all processes in their order, [count * n, ...]. All give as many."""
        if self.count == 1:
            return rows
        found = [torch.empty_like(rows) for _ in range(self.count)]
        with _others_are_there():
            distributed.all_gather(found, rows)
        return torch.cat(found)

    def told(self, value: T) -> list[T]:
        """Return the value of each process, in their order."""
        if self.count == 1:
            return [value]
        found: list[T | None] = [None] * self.count
        with _others_are_there():
            distributed.all_gather_object(found, value)
        return cast("list[T]", found)

    def from_first(self, make: Callable[[], T]) -> T:
        """Let the first process make a value, and return it in all processes."""
        made = [make() if self.is_first else None]
        if self.count > 1:
            with _others_are_there():
                distributed.broadcast_object_list(made, src=0)
        return cast("T", made[0])


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that torchrun has started with this one; without torchrun it is alone."""
    if not distributed.is_torchelastic_launched():
        yield Processes()
        return
    here = Processes(_number("RANK"), _number("WORLD_SIZE"), _number("LOCAL_RANK"))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _others_are_there():
        store, *_ = next(rendezvous("env://"))
        store = PrefixStore(_attempt(), store)
        distributed.init_process_group(backend, store=store, rank=here.rank, world_size=here.count)
    yield here  # after an error the others are not waited for: they notice that this process has ended
    distributed.destroy_process_group()


def _number(name: str) -> int:
    """Return the number that torchrun puts into a variable. Raises UsageError."""
    text = os.environ.get(name, "")
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise UsageError(
            f"{name} is {text[:100]!r}, not a number. torchrun sets it: start the processes with"
            " torchrun, or unset TORCHELASTIC_RUN_ID."
        )
    return int(text)


def _attempt() -> str:
    """Return a name that only the processes of this attempt have.

    torchrun keeps its store over restarts, and with it the addresses of processes that have ended. Its agents
    on several machines do not count restarts alike: there each attempt needs a store of its own.
    """
    alone = os.environ.get("GROUP_WORLD_SIZE", "1") == "1"
    return f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}" if alone else "attempt"


def refuse_torchrun(what: str) -> None:
    """Raise UsageError if torchrun has started several processes for a command that runs in one."""
    if distributed.is_torchelastic_launched() and os.environ.get("WORLD_SIZE") != "1":
        raise UsageError(f"{what} runs in one process. Run it without torchrun.")


@contextmanager
def _others_are_there() -> Iterator[None]:
    """Raise TrainingError if another process has ended or does not answer."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            "Another process of this training has ended or cannot be reached; its own message says why. Run"
            " the same command again: it resumes after the last full epoch. torchrun --max-restarts 3 does so"
            f" by itself. ({str(error).splitlines()[0]})"
        ) from error
