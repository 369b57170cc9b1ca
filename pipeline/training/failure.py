"""Training that goes wrong: a loss that grows, or a network that guesses to the end."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.training.settings import TrainConfig
from pipeline.training.suited import usual_rate
from pipeline.training.training_run import EpochRecord

FAR_ABOVE = 2.0
"""Two epochs in a row with a loss above this many times that of guessing mean divergence."""
SURE = 3.0
"""How many standard deviations the accuracy has to be above that of the most frequent class."""


def refuse_divergence(history: Sequence[EpochRecord], classes: int, config: TrainConfig) -> None:
    """Raise TrainingError if the last two epochs' losses are far above that of guessing."""
    guessing = math.log(classes)
    if len(history) > 1 and all(one.loss > FAR_ABOVE * guessing for one in history[-2:]):
        raise TrainingError(
            f"Training diverges: the loss is {history[-1].loss:.3g} in epoch {history[-1].epoch}, and"
            f" guessing has {guessing:.2f}. {lower_rate(config)}"
        )


def nothing_learned(history: Sequence[EpochRecord], labels: Tensor, config: TrainConfig) -> str | None:
    """Report a last epoch that is not better than always naming the most frequent class, and what to do."""
    share = float(torch.bincount(labels).max()) / len(labels)
    needed = share + SURE * math.sqrt(share * (1 - share) / len(labels))
    accuracy = history[-1].accuracy
    if accuracy > needed or share == 1:
        return None
    return (
        f"The network has learned nothing: in the last epoch it is right on {accuracy:.1%} of its own"
        f" training images, and naming the most frequent class always is on {share:.1%}."
        f" {lower_rate(config)} If that changes nothing, train longer (--epochs {3 * config.epochs}), and"
        " look whether the pictures lie in the folders of their classes."
    )


def lower_rate(config: TrainConfig) -> str:
    """Say which rate to try: a fifth, and at most the usual one, as a fifth of a wild rate diverges too."""
    usual = usual_rate(config.batch_size, tuned=config.initial is not None)
    rate = min(config.peak_learning_rate / 5, usual)
    return f"Try a lower rate, --lr {rate:.2g}, in another folder (--output)."
