"""The two classes between which a picture is decided."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class ClassContest:
    """FP32's class of a picture, and the strongest other class in INT8."""

    first: int
    second: int

    def margin(self, logits: Array) -> float:
        """Return the logit of the first class [classes] minus that of the second."""
        return float(logits[self.first]) - float(logits[self.second])


def contest_of(fp32: Array, int8: Array) -> ClassContest:
    """Return FP32's class and INT8's strongest other class, from logits [classes] of a picture."""
    first = int(fp32.argmax())
    others = int8.astype(np.float64)
    others[first] = -np.inf
    return ClassContest(first, int(others.argmax()))


def margins(fp32: Array, int8: Array) -> tuple[Array, Array]:
    """Return FP32's and INT8's margins [N] of logits [N, classes], each between a picture's own classes."""
    contests = [contest_of(ours, theirs) for ours, theirs in zip(fp32, int8, strict=True)]
    pairs = [(one.margin(a), one.margin(b)) for one, a, b in zip(contests, fp32, int8, strict=True)]
    before, after = np.array(pairs, np.float64).reshape(-1, 2).T
    return before, after


def probabilities(logits: Array) -> Array:
    """Return the softmax of logits [classes]."""
    power = np.exp(logits.astype(np.float64) - float(logits.max()))
    shares: Array = power / power.sum()
    return shares
