"""Finds the normalisation that an ONNX network was trained with, by accuracy on labelled images."""

from pathlib import Path

import numpy as np

from pipeline.data.open import open_dataset
from pipeline.data.relabel import relabelled
from pipeline.data.split import Split
from pipeline.diagnosis.foreign_answers import foreign_answers
from pipeline.diagnosis.trial import InputTrial, Trials, TriedNetwork, few, try_fits, try_forms
from pipeline.errors import DataError, UsageError
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.models.foreign.onnx_file import read_input, read_output
from pipeline.models.form_choice import FormChoice
from pipeline.report import figures
from pipeline.report.model.certainty import Verdict
from pipeline.report.plausibility import judge_answers
from pipeline.task import Task
from targets.base import Origin

MOST = 2000
"""How many images are used if fewer do not decide."""


def choose_by_accuracy(model: ForeignModel, data: Path) -> FormChoice:
    """Try every usual form on the evaluation images of a data set.

    A form is chosen if it does better than guessing, and better than each other form by more than a paired
    interval. If a few images do not decide, more are used. Raises DataError for images of other classes than
    the network's, and UsageError for a network that classifies pixels.
    """
    split = _labelled(model, data)
    subject = TriedNetwork(
        foreign_answers(model), model.preprocessing, read_input(model.path).takes_floats, True
    )
    trials = try_forms(subject, split)
    lines = _lines(trials)
    if not trials.others:
        return FormChoice(None, lines)
    best = trials.best_other
    rivals = trials.rivals(best)
    if rivals and len(split) > len(trials.labels):
        forms = tuple(one.form for one in (best, *rivals) if one.form is not None)
        trials = try_forms(subject, split.stratified(min(MOST, len(split))), forms)
        lines += _lines(trials)
        best = trials.best_other
        rivals = trials.rivals(best)
    if not _knows(trials, best, len(split.classes)):
        return FormChoice(
            None, (*lines, "normalisation: none of those that were tried does better than guessing")
        )
    if rivals:
        names = ", ".join(one.name for one in rivals)
        why = f"normalisation: {best.name} is right most often; not shown to be worse: {names}"
        return FormChoice(None, (*lines, why))
    fit = _better_fit(subject, split, best)
    fit_line = [f"size: {'; '.join(fit)}, shown to be better"] if fit else []
    return FormChoice(
        best.form, (*lines, f"normalisation: {best.name}, shown to be right most often", *fit_line), fit
    )


def _labelled(model: ForeignModel, data: Path) -> Split:
    if model.task is not Task.CLASSIFY:
        raise UsageError(f"{model.path} classifies pixels; --data is for classes of images. Leave it out.")
    dataset = open_dataset(data)
    if model.labels is not None:
        dataset = relabelled(dataset, model.labels, model.name)
    classes, found = read_output(model.path)[1], len(dataset.classes)
    if classes not in (None, found):
        raise DataError(
            f"{model.path} has {classes} classes; {data} has {found}. Name the network's classes, in"
            f" the order of its outputs, under labels in {description_file(model.path)}."
        )
    return dataset.split("evaluation")


def _lines(trials: Trials) -> tuple[str, ...]:
    total = figures.plural(len(trials.labels), "labelled image")
    shown = trials.others or (trials.as_described,)
    return tuple(f"  {one.name}: right on {int(one.right.sum())} of {total}" for one in shown)


def _knows(trials: Trials, best: InputTrial, classes: int) -> bool:
    total, right = (
        np.bincount(labels, minlength=classes) for labels in (trials.labels, trials.labels[best.right])
    )
    return judge_answers(total, right, Origin.HOST).verdict is Verdict.PASS


def _better_fit(subject: TriedNetwork, split: Split, best: InputTrial) -> tuple[str, ...]:
    """Return the TOML lines of a fit that is shown to be better with the same form."""
    assert best.form is not None  # noqa: S101 - every form that was tried is one
    trials = try_forms(subject, few(split), (best.form,))
    (base,) = trials.others
    fits = try_fits(subject, split, base)
    top = max((base, *fits), key=lambda one: int(one.right.sum()))
    shown = top is not base and trials.shown_better(top, base, len(fits))
    return tuple(line for line in top.lines if line.startswith(("fit", "resize", "border"))) if shown else ()
