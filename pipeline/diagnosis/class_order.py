"""Finds classes in another order: on half of the images, and checks it on the other half."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.report.model.certainty import Verdict
from pipeline.report.plausibility import judge_answers
from pipeline.report.sections.diagnosis import ClassOrder
from pipeline.report.stats import difference_interval
from targets.base import Origin


def find_class_order(
    answers: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str]
) -> ClassOrder | None:
    """Return the order of `names` that fits the outputs [N] and labels [N]; None if none is shown to fit.

    The order that is right on most of every second image is an assignment problem (Kuhn 1955). It is accepted
    if it does better than guessing on the other images, and better than the configured order.
    """
    from scipy.optimize import linear_sum_assignment

    place = _alternating(labels)
    seen, judged = (place % 2 == part for part in (0, 1))
    classes = len(names)
    confusion = np.zeros((classes, classes), np.int64)  # [output, label]
    np.add.at(confusion, (answers[seen], labels[seen]), 1)
    assigned = linear_sum_assignment(confusion, maximize=True)[1]
    right, before = (found == labels[judged] for found in (assigned[answers[judged]], answers[judged]))
    if not judged.any() or not _shown(right, before, labels[judged], classes):
        return None
    return ClassOrder(
        images=int(judged.sum()),
        right=int(right.sum()),
        right_as_told=int(before.sum()),
        labels=tuple(names[label] for label in assigned.tolist()),
    )


def _alternating(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the images of each class from 0 on, [N]."""
    place = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        there = np.flatnonzero(labels == label)
        place[there] = np.arange(len(there))
    return place


def _shown(
    right: NDArray[np.bool_], before: NDArray[np.bool_], labels: NDArray[np.int64], classes: int
) -> bool:
    plausible = judge_answers(
        np.bincount(labels, minlength=classes), np.bincount(labels[right], minlength=classes), Origin.HOST
    )
    better = difference_interval(int((right & ~before).sum()), int((before & ~right).sum()), len(labels))
    return plausible.verdict is Verdict.PASS and better.low > 0
