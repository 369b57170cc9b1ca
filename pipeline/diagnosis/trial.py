"""Tries usual ways to prepare pictures, and finds the one with which the network is right most often."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.data.split import Split
from pipeline.diagnosis.examples import Answers, Examples, Pixels, examples, few
from pipeline.diagnosis.outcomes import TrialOutcome
from pipeline.models.input_form import Fit, InputForm, usual_fits, usual_forms
from pipeline.report.model.input_diagnosis import TriedInput
from targets.runtime.preprocess import Preprocessing


@dataclass(frozen=True)
class TriedNetwork:
    """A network, and the preprocessing that is configured for it."""

    answers: Callable[[InputForm | None, Pixels], Answers]
    """Returns the classes for pictures uint8 [N, H, W, C]; None is the configured form."""
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
    """A way to prepare pictures, and what the network then gets right."""

    name: str
    lines: tuple[str, ...]
    outcome: TrialOutcome
    form: InputForm | None = None

    def shown(self) -> TriedInput:
        """Return its record in the report."""
        found = self.outcome
        return TriedInput(
            name=self.name, right=found.right_images, pixels=found.pixel_shares, lines=self.lines
        )


@dataclass(frozen=True)
class Trials:
    """All trials, each on the same images."""

    as_described: InputTrial
    others: tuple[InputTrial, ...]
    images: int

    @property
    def best(self) -> InputTrial:
        """Return the trial that is right most; of equal ones the first."""
        return max((self.as_described, *self.others), key=lambda trial: trial.outcome.mean)

    @property
    def best_other(self) -> InputTrial:
        """Return the best of `others`, which must not be empty."""
        return max(self.others, key=lambda trial: trial.outcome.mean)

    def rivals(self, best: InputTrial) -> tuple[InputTrial, ...]:
        """Return the trials that are not shown to be worse than the best."""
        others = (one for one in self.others if one is not best)
        return tuple(one for one in others if not best.outcome.shown_better(one.outcome))


def try_forms(subject: TriedNetwork, split: Split, forms: Sequence[InputForm] | None = None) -> Trials:
    """Try every usual form on a few images of the split, or the given forms on all; the fit stays."""
    chosen = few(split) if forms is None else split
    shown = examples(chosen, subject.preprocessing)
    forms = subject.forms() if forms is None else forms
    return Trials(
        InputTrial("as described", (), _outcome(subject, None, shown)),
        tuple(InputTrial(one.name, one.lines, _outcome(subject, one, shown), one) for one in forms),
        len(shown.pixels),
    )


def try_fits(subject: TriedNetwork, split: Split, base: InputTrial) -> tuple[InputTrial, ...]:
    """Try, with the best form, every other way to resize pictures that changes a pixel."""
    before = examples(few(split), subject.preprocessing)
    found = []
    for fit in usual_fits(subject.preprocessing):
        shown = examples(few(split), fit.preprocessing)
        if not np.array_equal(shown.pixels, before.pixels):
            found.append(_fitted(subject, fit, base, shown))
    return tuple(found)


def with_fits(trials: Trials, subject: TriedNetwork, split: Split) -> Trials:
    """Add trials of other ways to resize pictures, with the best form."""
    if not subject.can_fit:
        return trials
    return replace(trials, others=(*trials.others, *try_fits(subject, split, trials.best)))


def _fitted(subject: TriedNetwork, fit: Fit, base: InputTrial, shown: Examples) -> InputTrial:
    name = fit.name if base.form is None else f"{base.name}, {fit.name}"
    return InputTrial(name, (*base.lines, *fit.lines), _outcome(subject, base.form, shown), base.form)


def _outcome(subject: TriedNetwork, form: InputForm | None, shown: Examples) -> TrialOutcome:
    return shown.outcome(subject.answers(form, shown.pixels))
