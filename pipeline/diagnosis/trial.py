"""Tries usual ways to prepare pictures, and counts with which the network is right on labelled images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.data.split import Split
from pipeline.models.input_form import Fit, InputForm, usual_fits, usual_forms
from pipeline.report.sections.diagnosis import TriedInput
from pipeline.report.stats import difference_interval
from targets.runtime.paired_difference import LEVEL
from targets.runtime.preprocess import Preprocessing

IMAGES = 200
"""The most labelled images to try on, stratified by class."""
BATCH = 32

Answers = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class TriedNetwork:
    """A network, and the preprocessing that is configured for it."""

    answers: Callable[[InputForm | None, Pixels], Answers]
    """Returns the class of each picture uint8 [N, H, W, C]; None is the configured form."""
    preprocessing: Preprocessing
    takes_normalised: bool
    """Whether mean and std are configured outside the graph; a graph that takes pixels has its own."""

    can_fit: bool
    """Whether there is a setting for how pictures get their size."""

    def forms(self) -> tuple[InputForm, ...]:
        """Return the forms that can be tried."""
        return tuple(usual_forms(self.preprocessing.channels)) if self.takes_normalised else ()


@dataclass(frozen=True)
class InputTrial:
    """A way to prepare pictures, and which images [N] the network then classifies correctly."""

    name: str
    lines: tuple[str, ...]
    right: NDArray[np.bool_]
    form: InputForm | None = None

    def shown(self) -> TriedInput:
        """Return its record in the report."""
        return TriedInput(name=self.name, right=int(self.right.sum()), lines=self.lines)


@dataclass(frozen=True)
class Trials:
    """All trials on the same images, which have these labels [N]."""

    as_described: InputTrial
    others: tuple[InputTrial, ...]
    labels: Answers

    @property
    def best(self) -> InputTrial:
        """Return the trial with most correct images; of equal ones the first."""
        return max((self.as_described, *self.others), key=lambda trial: int(trial.right.sum()))

    @property
    def best_other(self) -> InputTrial:
        """Return the best of `others`, which must not be empty."""
        return max(self.others, key=lambda trial: int(trial.right.sum()))

    def shown_better(self, one: InputTrial, than: InputTrial, comparisons: int = 1) -> bool:
        """Whether the gain's paired interval is above zero, with Bonferroni's correction."""
        won, lost = int((one.right & ~than.right).sum()), int((than.right & ~one.right).sum())
        return difference_interval(won, lost, len(one.right), 1 - (1 - LEVEL) / comparisons).low > 0

    def rivals(self, best: InputTrial) -> tuple[InputTrial, ...]:
        """Return the trials that are not shown to be worse than the best."""
        return tuple(one for one in self.others if one is not best and not self.shown_better(best, one))


def try_forms(subject: TriedNetwork, split: Split, forms: Sequence[InputForm] | None = None) -> Trials:
    """Try every usual form on a few images of the split, or the given forms on all; the fit stays."""
    chosen = few(split) if forms is None else split
    pixels, labels = pictures(chosen, subject.preprocessing)
    as_described = InputTrial("as described", (), subject.answers(None, pixels) == labels)
    forms = subject.forms() if forms is None else forms
    return Trials(
        as_described,
        tuple(InputTrial(one.name, one.lines, subject.answers(one, pixels) == labels, one) for one in forms),
        labels,
    )


def try_fits(subject: TriedNetwork, split: Split, base: InputTrial) -> tuple[InputTrial, ...]:
    """Try, with the best form, every other way to resize pictures that changes a pixel."""
    before, labels = pictures(few(split), subject.preprocessing)
    found = []
    for fit in usual_fits(subject.preprocessing):
        pixels, _ = pictures(few(split), fit.preprocessing)
        if not np.array_equal(pixels, before):
            found.append(_fitted(subject, fit, base, pixels, labels))
    return tuple(found)


def few(split: Split) -> Split:
    """Return the images to try on."""
    return split.stratified(min(IMAGES, len(split)))


def pictures(split: Split, preprocessing: Preprocessing) -> tuple[Pixels, Answers]:
    """Return the readable images of a split: uint8 [N, H, W, C], and labels int64 [N]."""
    batches = list(split.readable(preprocessing, BATCH))
    images, labels = ([getattr(batch, kind) for batch in batches] for kind in ("images", "labels"))
    return np.concatenate(images), np.concatenate(labels)


def _fitted(subject: TriedNetwork, fit: Fit, base: InputTrial, pixels: Pixels, labels: Answers) -> InputTrial:
    name = fit.name if base.form is None else f"{base.name}, {fit.name}"
    right = subject.answers(base.form, pixels) == labels
    return InputTrial(name, (*base.lines, *fit.lines), right, base.form)


def with_fits(trials: Trials, subject: TriedNetwork, split: Split) -> Trials:
    """Add trials of other ways to resize pictures, with the best form."""
    if not subject.can_fit:
        return trials
    return replace(trials, others=(*trials.others, *try_fits(subject, split, trials.best)))
