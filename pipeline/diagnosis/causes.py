"""Usual causes of a network that only guesses, tried in order on a few labelled images."""

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
"""Images to look for an order of classes on: so many of each class, and no more than that."""


def diagnose(subject: TriedNetwork, split: Split, where: str, names: Sequence[str]) -> Diagnosis:
    """Try normalisation, order of channels, fit, and then the order of the classes `names`.

    A cause is found if it makes the network better than guessing, and better than it was told by more than an
    interval that holds for everything tried. `where` says which file and table the advice belongs in.
    """
    trials = with_fits(try_forms(subject, split), subject, split)
    best = trials.best
    found = best is not trials.told and _explains(trials, best, len(names))
    return Diagnosis(
        images=len(trials.labels),
        right_as_told=int(trials.told.right.sum()),
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
    return plausible.verdict is Verdict.PASS and trials.shown_better(best, trials.told, len(trials.others))


def _class_order(subject: TriedNetwork, split: Split, names: Sequence[str]) -> ClassOrder | None:
    wanted = min(len(split), MOST, PER_CLASS * len(names))
    pixels, labels = pictures(split.stratified(wanted), subject.preprocessing)
    return find_class_order(subject.answers(None, pixels), labels, names)
