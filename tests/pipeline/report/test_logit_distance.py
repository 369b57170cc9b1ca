"""Logits that are not numbers name no class."""

import numpy as np

from pipeline.report.logit_distance import named_class


def test_of_logits_that_are_no_numbers_none_is_the_largest() -> None:
    logits = np.array([[1, 3, 2], [np.nan, 3, 2], [1, np.inf, 2], [1, 3, -np.inf]], np.float32)
    assert named_class(logits).tolist() == [1, -1, -1, -1]
    assert named_class(logits.T[None]).tolist() == [[1, -1, -1, -1]]
