"""What a quantiser does to a tensor, judged by the other side's values."""

import numpy as np

from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.grid_check import check_grid
from pipeline.difference.real_graph import TensorGrid

VALUES = np.random.default_rng(0).normal(0, 1, (2, 3, 8, 8)).astype(np.float32)
SCALE, ZERO = np.array([4 / 255], np.float32), np.array([0], np.uint8)
FROM_ZERO = TensorGrid("x", "x.read", SCALE, ZERO, SCALE, ZERO)


def test_a_range_from_0_stands_for_a_relu_only_where_there_is_one() -> None:
    """A picture that lost its dark half passed for one behind a ReLU."""
    read = (np.clip(np.rint(VALUES / SCALE), 0, 255) * SCALE).astype(np.float32)
    folded = check_grid("x", FROM_ZERO, VALUES, read, VALUES, rectified=True)
    cut = check_grid("x", FROM_ZERO, VALUES, read, VALUES)
    assert folded is None
    assert cut is not None
    assert cut.kind is FaultKind.CLIPPED_RANGE
    assert "the range [0, 4] cuts" in cut.evidence
