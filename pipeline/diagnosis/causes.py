"""Tries usual causes of a network that only guesses, in order, on a few labelled images."""

from collections.abc import Sequence

from pipeline.data.images import HasMasks
from pipeline.data.split import Split
from pipeline.diagnosis.class_order import find_class_order
from pipeline.diagnosis.examples import examples, few
from pipeline.diagnosis.trial import TriedNetwork, try_forms, with_fits
from pipeline.report.model.input_diagnosis import ClassOrder, Diagnosis

PER_CLASS, MOST = 20, 2000
"""Images for finding an order of classes: how many of each class, and how many in all at most."""


def diagnose(subject: TriedNetwork, split: Split, where: str, names: Sequence[str]) -> Diagnosis:
    """Try normalisation, order of channels, fit, and then the order of the classes `names`.

    A cause is found if its correction makes the network better than guessing, and better than as described by
    more than an interval that is corrected for the number of trials. `where`: the file or table to change.
    """
    trials = with_fits(try_forms(subject, split), subject, split)
    told, best = trials.as_described.outcome, trials.best
    explains = best.outcome.knows() and best.outcome.shown_better(told, len(trials.others))
    order = _class_order(subject, split, names)
    found = best is not trials.as_described and explains
    if found and order is not None and order.mean > best.outcome.mean:
        found = False  # a wrong form can put classes into places that happen to be right
    return Diagnosis(
        images=trials.images,
        right_as_told=told.right_images,
        pixels_as_told=told.pixel_shares,
        tried=tuple(trial.shown() for trial in trials.others),
        best=best.shown() if found else None,
        rivals=tuple(rival.name for rival in trials.rivals(best)) if found else (),
        class_order=None if found else order,
        where=where,
    )


def _class_order(subject: TriedNetwork, split: Split, names: Sequence[str]) -> ClassOrder | None:
    wanted = None if isinstance(split.images, HasMasks) else min(MOST, PER_CLASS * len(names))
    shown = examples(few(split, wanted), subject.preprocessing)
    return find_class_order(subject.answers(None, shown.pixels), shown, names)
