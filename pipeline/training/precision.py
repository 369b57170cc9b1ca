"""Chooses the device, and bf16 if it is faster than fp32 there: CPUs need AVX512-BF16 or AMX for that."""

import copy
import time

import torch
from torch import Tensor

from pipeline.errors import UsageError
from pipeline.training.trainer import Trainer

ROUNDS = 3


def find_device(wanted: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda". Raises UsageError if it does not exist."""
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError('torch finds no CUDA device on this machine. Set device = "cpu" or "auto".')
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def bf16_is_faster(trainer: Trainer, images: Tensor, labels: Tensor) -> bool:
    """Time full-size steps of a copy of `trainer` both ways, in turns, and compare the fastest."""
    trial = copy.deepcopy(trainer)
    batch, wanted = images[: trainer.config.batch_size], labels[: trainer.config.batch_size]
    random = torch.Generator().manual_seed(0)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(1 + ROUNDS):
        for bf16, times in seconds.items():
            trial.bf16 = bf16
            start = time.perf_counter()
            trial.step(batch, wanted, batch.shape[1], 0.0, random)  # its loss waits for a GPU
            times.append(time.perf_counter() - start)
    return min(seconds[True][1:]) < min(seconds[False][1:])
