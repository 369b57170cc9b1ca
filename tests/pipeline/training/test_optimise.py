"""The schedule of the learning rate, and the parameters with weight decay."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import resnet
from pipeline.models.architecture import Architecture
from pipeline.training.optimise import class_weights, learning_rate, make_optimiser
from pipeline.training.settings import TrainConfig


@given(st.integers(1, 5000), st.floats(0, 0.9))
def test_the_rate_rises_to_its_peak_and_falls_towards_zero(steps: int, warm_up: float) -> None:
    config = TrainConfig(warm_up=warm_up, peak_learning_rate=0.25)
    rates = [learning_rate(step, steps, config) for step in range(steps)]
    top = rates.index(max(rates))
    assert all(0 < rate <= 0.25 for rate in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_the_rate_is_linear_on_both_sides_of_the_warm_up() -> None:
    config = TrainConfig(warm_up=0.2, peak_learning_rate=0.25)
    rates = [learning_rate(step, 99, config) for step in range(99)]
    assert rates[19] == pytest.approx(0.25)  # a fifth of the way
    assert rates[9] == pytest.approx(0.125)
    assert rates[59] == pytest.approx(0.125)
    assert rates[98] == pytest.approx(0.25 / 80)


def test_only_matrices_and_convolutions_are_decayed() -> None:
    network = resnet.build(Architecture("cifar", 8), 1, 10)
    optimiser = make_optimiser(network, TrainConfig(weight_decay=5e-4))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decay = {names[id(p)]: group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decay.keys() == set(names.values())
    for name, value in decay.items():
        matrix = name.endswith("weight") and ("conv" in name or "linear" in name)
        assert value == (5e-4 if matrix else 0), name


def test_the_rate_falls_to_a_tenth_at_each_drop() -> None:
    config = TrainConfig(warm_up=0, drops=(0.5, 0.75), peak_learning_rate=0.1)
    rates = [learning_rate(step, 99, config) for step in range(99)]
    assert rates[:49] == [0.1] * 49
    assert rates[49:74] == pytest.approx([0.01] * 25)
    assert rates[74:] == pytest.approx([0.001] * 25)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_class_weights_are_one_on_average_and_balance_what_classes_add(labels: list[int]) -> None:
    found = torch.tensor(labels)
    weights = class_weights(found, 4, "balanced")
    assert weights is not None
    counts = torch.bincount(found, minlength=4)
    assert (weights * counts).sum() / len(found) == pytest.approx(1, rel=1e-5)
    added = (weights * counts)[counts > 0]
    torch.testing.assert_close(added, added.mean().expand_as(added))
    assert not weights[counts == 0].any()
    root = class_weights(found, 4, "root")
    assert root is not None
    squared = (root**2)[counts > 0]
    torch.testing.assert_close(squared / squared[0], weights[counts > 0] / weights[counts > 0][0])
    assert class_weights(found, 4, "equal") is None
