"""Finds classes in another order: on half of the images, and checks it on the other half."""

from collections.abc import Sequence

import numpy as np

from pipeline.diagnosis.examples import Answers, Examples
from pipeline.report.model.input_diagnosis import ClassOrder


def find_class_order(answers: Answers, shown: Examples, names: Sequence[str]) -> ClassOrder | None:
    """Return the order of `names` that fits the answers; None if none is shown to fit.

    The order that is right on most of every second image is an assignment problem (Kuhn 1955). It is accepted
    if it does better than guessing on the other images, and better than the configured order.
    """
    from scipy.optimize import linear_sum_assignment

    seen, judged = shown.halves()
    if not judged.any():
        return None
    counts = shown.only(seen).confusion(answers[seen])
    assigned = linear_sum_assignment(counts, maximize=True)[1]
    others = shown.only(judged)
    told, reordered = answers[judged], assigned[answers[judged]]
    if not others.shown_better(reordered, told):
        return None
    after, before = others.outcome(reordered), others.outcome(told)
    return ClassOrder(
        images=int(judged.sum()),
        right=after.right_images,
        right_as_told=before.right_images,
        pixels=after.pixel_shares,
        pixels_as_told=before.pixel_shares,
        labels=tuple(names[label] for label in assigned.tolist()),
        mask_numbers=() if after.pixel_shares is None else tuple(np.argsort(assigned).tolist()),
    )
