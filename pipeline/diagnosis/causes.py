"""Tries usual causes of a network that only guesses, in order, on a few labelled images."""

from collections.abc import Sequence

import numpy as np

from pipeline.data.split import Split
from pipeline.diagnosis.class_order import find_class_order
from pipeline.diagnosis.trial import InputTrial, Trials, TriedNetwork, pictures, try_forms, with_fits
from pipeline.report.model.certainty import Verdict
from pipeline.report.plausibility import judge_answers
from pipeline.report.sections.diagnosis import ClassOrder, Diagnosis
from targets.base import Origin

PER_CLASS, MOST = 20, 2000
"""Images for finding an order of classes: so many of each class, up to so many in all."""


def diagnose(subject: TriedNetwork, split: Split, where: str, names: Sequence[str]) -> Diagnosis:
    """Try normalisation, order of channels, fit, and then the order of the classes `names`.

    A cause is found if its correction makes the network better than guessing, and better than as described by
    more than an interval that is corrected for the number of trials. `where`: the file or table to change.
    """
    trials = with_fits(try_forms(subject, split), subject, split)
    best = trials.best
    found = best is not trials.as_described and _explains(trials, best, len(names))
    return Diagnosis(
        images=len(trials.labels),
        right_as_told=int(trials.as_described.right.sum()),
        tried=tuple(trial.shown() for trial in trials.others),
        best=best.shown() if found else None,
        rivals=tuple(rival.name for rival in trials.rivals(best)) if found else (),
        class_order=None if found else _class_order(subject, split, names),
        where=where,
    )


def _explains(trials: Trials, best: InputTrial, classes: int) -> bool:
    there, right = (
        np.bincount(labels, minlength=classes) for labels in (trials.labels, trials.labels[best.right])
    )
    plausible = judge_answers(there, right, Origin.HOST)
    return plausible.verdict is Verdict.PASS and trials.shown_better(
        best, trials.as_described, len(trials.others)
    )


def _class_order(subject: TriedNetwork, split: Split, names: Sequence[str]) -> ClassOrder | None:
    wanted = min(len(split), MOST, PER_CLASS * len(names))
    pixels, labels = pictures(split.stratified(wanted), subject.preprocessing)
    return find_class_order(subject.answers(None, pixels), labels, names)
