"""Finds the normalisation that an ONNX network was trained with, by accuracy on labelled images."""

from pathlib import Path

from pipeline.data.images import HasMasks
from pipeline.data.split import Split
from pipeline.diagnosis.examples import few
from pipeline.diagnosis.foreign_answers import foreign_answers
from pipeline.diagnosis.trial import InputTrial, Trials, TriedNetwork, try_fits, try_forms
from pipeline.errors import DataError
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.models.foreign.onnx_file import read_input, read_output
from pipeline.models.form_choice import FormChoice
from pipeline.report import figures
from pipeline.report.model.input_diagnosis import right_words
from pipeline.task import Task

MOST, MOST_WITH_MASKS = 2000, 400
"""How many images are used if fewer do not decide."""


def choose_by_accuracy(model: ForeignModel, data: Path) -> FormChoice:
    """Try every usual form on the evaluation images of a data set.

    A form is chosen if it does better than guessing, and better than each other form by more than a paired
    interval. If a few images do not decide, more are used. Raises DataError for images of other classes than
    the network's and for pixels without masks, UsageError for a segmentation network without labels.
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
    if rivals and len(split) > trials.images:
        forms = tuple(one.form for one in (best, *rivals) if one.form is not None)
        most = MOST if model.task is Task.CLASSIFY else MOST_WITH_MASKS
        trials = try_forms(subject, few(split, most), forms)
        lines += _lines(trials)
        best = trials.best_other
        rivals = trials.rivals(best)
    if not best.outcome.knows():
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
    dataset = model.open_images(data)
    split = dataset.split("evaluation")
    if model.task is Task.SEGMENT and not isinstance(split.images, HasMasks):
        raise DataError(
            f"{data} has no masks, so nothing says which class a pixel has. Put them into <split>/masks,"
            " beside <split>/images."
        )
    classes, found = read_output(model.path)[1], len(dataset.classes)
    if classes not in (None, found):
        raise DataError(
            f"{model.path} has {classes} classes; {data} has {found}. Name the network's classes, in"
            f" the order of its outputs, under labels in {description_file(model.path)}."
        )
    return split


def _lines(trials: Trials) -> tuple[str, ...]:
    total = figures.plural(trials.images, "labelled image")
    shown = [one.shown() for one in trials.others or (trials.as_described,)]
    return tuple(
        f"  {one.name}: right on {right_words(one)}{' of' if one.pixels is None else ','} {total}"
        for one in shown
    )


def _better_fit(subject: TriedNetwork, split: Split, best: InputTrial) -> tuple[str, ...]:
    """Return the TOML lines of a fit that is shown to be better with the same form."""
    assert best.form is not None  # noqa: S101 - every form that was tried is one
    (base,) = try_forms(subject, few(split), (best.form,)).others
    fits = try_fits(subject, split, base)
    top = max((base, *fits), key=lambda one: one.outcome.mean)
    shown = top is not base and top.outcome.shown_better(base.outcome, len(fits))
    return tuple(line for line in top.lines if line.startswith(("fit", "resize", "border"))) if shown else ()
