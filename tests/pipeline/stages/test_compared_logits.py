"""A model that was written is compared with its source on every image."""

import math
from pathlib import Path

import numpy as np
import pytest

from pipeline.stages.parity import FILE, ComparedOutputs, Parity


def test_the_largest_difference_of_any_batch_counts(tmp_path: Path) -> None:
    zeros = np.zeros((2, 3), np.float32)
    found = Parity.of(
        [
            ComparedOutputs(zeros, zeros + 1),
            ComparedOutputs(zeros, zeros - 4),
            ComparedOutputs(zeros[:1], zeros[:1]),
        ]
    )
    assert found == Parity(images=5, max_difference=4.0)
    found.save(tmp_path)
    assert Parity.load(tmp_path / FILE) == found


@pytest.mark.parametrize("nonsense", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_never_within_a_limit(nonsense: float) -> None:
    whole = np.zeros((1, 3), np.float32)
    broken = np.array([[0, nonsense, 0]], np.float32)
    found = Parity.of(
        [ComparedOutputs(whole, whole), ComparedOutputs(broken, broken), ComparedOutputs(whole, whole)]
    )
    assert math.isnan(found.max_difference)
    assert not found.max_difference <= 1e9
