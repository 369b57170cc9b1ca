"""A class is only named where the logits are numbers."""

import numpy as np
import pytest

from targets.runtime.classify import NoAnswer, likeliest


def test_the_likeliest_classes_come_first_with_their_softmax() -> None:
    logits = np.array([0.0, np.log(3.0), -50.0], np.float32)
    (first, second) = likeliest(logits, ("a", "b", "c"), top=2)
    assert (first[0], second[0]) == ("b", "a")
    assert first[1] == pytest.approx(0.75)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_give_no_class(value: float) -> None:
    logits = np.array([0.0, value, 1.0], np.float32)
    with pytest.raises(NoAnswer, match="1 of 3 logits that are not numbers"):
        likeliest(logits, ("a", "b", "c"), top=1)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_logits_that_are_not_one_for_each_class_give_no_class(count: int) -> None:
    with pytest.raises(NoAnswer, match=f"the engine gave {count} logits for 3 classes"):
        likeliest(np.zeros(count, np.float32), ("a", "b", "c"), top=1)
