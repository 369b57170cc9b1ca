"""Whether bf16 is faster than fp32 here: it is with AVX512-BF16 or AMX, and mostly not without."""

import copy
import time

from torch import Tensor

from pipeline.training.trainer import Trainer

ROUNDS = 3


def bf16_is_faster(trainer: Trainer, images: Tensor, labels: Tensor) -> bool:
    """Time full-size steps of a copy of `trainer` both ways, in turns, and compare the fastest."""
    trial = copy.deepcopy(trainer)
    batch, wanted = images[: trainer.config.batch_size], labels[: trainer.config.batch_size]
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(1 + ROUNDS):
        for bf16, times in seconds.items():
            trial.bf16 = bf16
            start = time.perf_counter()
            trial.step(batch, wanted, side=batch.shape[1], rate=0.0)
            times.append(time.perf_counter() - start)
    return min(seconds[True][1:]) < min(seconds[False][1:])
