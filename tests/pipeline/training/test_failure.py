"""A run that goes wrong ends with a message and an exit code that is not 0."""

import pytest
import torch

from pipeline.errors import TrainingError
from pipeline.training.failure import lower_rate, nothing_learned, refuse_divergence
from pipeline.training.settings import TrainConfig
from pipeline.training.training_run import EpochRecord

CONFIG = TrainConfig(peak_learning_rate=0.25, epochs=20)
LABELS = torch.arange(200) % 5


def epoch(number: int, loss: float, accuracy: float = 0.2) -> EpochRecord:
    return EpochRecord(epoch=number, side=32, learning_rate=0.1, loss=loss, accuracy=accuracy, seconds=1)


def test_a_loss_far_above_guessing_twice_is_divergence() -> None:
    refuse_divergence([epoch(1, 9.0)], 5, CONFIG)
    refuse_divergence([epoch(1, 9.0), epoch(2, 2.0), epoch(3, 9.0)], 5, CONFIG)
    with pytest.raises(TrainingError, match=r"loss is 23 in epoch 2, and guessing has 1\.61\. .*--lr 0\.05"):
        refuse_divergence([epoch(1, 9.0), epoch(2, 23.0)], 5, CONFIG)


@pytest.mark.parametrize("rate", [0.01, 0.25, 2.0, 10.0, 50.0, 1e30])
def test_the_rate_to_try_is_below_the_one_that_diverged_and_not_above_the_usual_one(rate: float) -> None:
    said = lower_rate(TrainConfig(peak_learning_rate=rate, batch_size=64))
    advised = float(said.split("--lr ")[1].split(",")[0])
    assert advised <= min(rate / 2, 0.13)


def test_a_network_that_guesses_to_the_end_has_learned_nothing() -> None:
    said = nothing_learned([epoch(20, 1.6, accuracy=0.22)], LABELS, CONFIG)
    assert said is not None
    assert "right on 22.0% of its own training images" in said
    assert "--lr 0.05" in said
    assert "--epochs 60" in said
    assert nothing_learned([epoch(20, 1.0, accuracy=0.5)], LABELS, CONFIG) is None


def test_naming_the_most_frequent_class_is_not_learning() -> None:
    uneven = torch.tensor([0] * 180 + [1] * 20)
    assert nothing_learned([epoch(20, 0.3, accuracy=0.9)], uneven, CONFIG) is not None
    assert nothing_learned([epoch(20, 0.1, accuracy=0.99)], uneven, CONFIG) is None
