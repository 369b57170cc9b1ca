"""Several models on the same images, their logits averaged: accuracy against cost.

He et al. 2015, section 4.4: the winning entry of ILSVRC 2015 was an ensemble of six residual networks. An
ensemble costs the sum of its members, so the question is always whether one larger network would do.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from pipeline.build.plan import Build
from pipeline.data.split import Split
from pipeline.errors import DataError, UsageError
from pipeline.progress import Progress
from pipeline.report.logit_distance import refuse_not_finite
from pipeline.report.pages.ensemble_page import Combination, EnsembleReport
from pipeline.report.paired import paired_images
from pipeline.report.plausibility import judge_answers
from pipeline.report.stats import wilson_interval
from pipeline.task import Task
from targets.base import EngineRunner
from targets.reference import ReferenceTarget

BATCH = 32
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Answers:
    """Logits of all members for all readable images, float32 [member, image, class], and labels [image]."""

    fp32: Logits
    int8: Logits
    labels: NDArray[np.int64]


def validate_together(
    builds: Sequence[Build], progress: Progress, names: Sequence[str] | None = None
) -> EnsembleReport:
    """Validate each member alone, and ensembles of the first two, three, ... with averaged logits.

    names: one for each member, for members that are the same model with other weights; None: the models'
    names. Raises UsageError for fewer than two members, and DataError if members differ in their target,
    their evaluation images or their classes.
    """
    if len(builds) < 2:
        raise UsageError("An ensemble needs at least two models.")
    names = [build.model.name for build in builds] if names is None else names
    evaluation = common_evaluation(builds)
    answers = _ask(builds, evaluation, progress)
    costs = [_cost(build) for build in builds]
    groups: list[tuple[int, ...]] = [(i,) for i in range(len(builds))]
    groups += [tuple(range(size)) for size in range(2, len(builds) + 1)]
    right = {group: _right(answers.int8, group, answers.labels) for group in groups}
    best = max(groups[: len(builds)], key=lambda group: int(right[group].sum()))
    return EnsembleReport(
        target=builds[0].target.name,
        best_single=names[best[0]],
        combinations=tuple(
            _combination(names, group, answers, costs, right[best], right[group]) for group in groups
        ),
    )


def common_evaluation(builds: Sequence[Build]) -> Split:
    """Return the evaluation images of all members. Raises DataError if they differ or are not classified."""
    first = builds[0]
    for build in builds:
        if build.model.task is not Task.CLASSIFY:
            raise DataError(f"{build.model.name} classifies pixels; an ensemble averages classes of images.")
    for other in builds[1:]:
        for what, a, b in (
            ("target", first.target.name, other.target.name),
            ("classes, in their order,", first.dataset.classes, other.dataset.classes),
            ("evaluation images", first.evaluation.digest, other.evaluation.digest),
        ):
            if a != b:
                raise DataError(
                    f"{first.model.name} and {other.model.name} have different {what}; an ensemble averages"
                    " what its members say of the same picture. Give them the same data and target."
                )
    return first.evaluation


def _ask(builds: Sequence[Build], evaluation: Split, progress: Progress) -> Answers:
    """Run every member on every image; an image that cannot be read is left out for all members."""
    fp32: list[list[Logits]] = [[] for _ in builds]
    int8: list[list[Logits]] = [[] for _ in builds]
    labels: list[NDArray[np.int64]] = []
    for number, build in enumerate(builds):
        with ExitStack() as stack:
            float_model = build.float_model.path
            fp32_runner: EngineRunner = stack.enter_context(ReferenceTarget().open(float_model))
            int8_runner = stack.enter_context(build.target.open(build.engine.path))
            advance = stack.enter_context(progress.task(f"validate {build.model.name}", len(evaluation)))
            for batch in evaluation.batches(build.model.preprocessing, BATCH):
                answers = fp32_runner.infer(batch.images), int8_runner.infer(batch.images)
                refuse_not_finite(*answers, [f"one of {build.model.name}'s"] * len(batch.labels))
                fp32[number].append(answers[0])
                int8[number].append(answers[1])
                if number == 0:
                    labels.append(batch.labels)
                advance(len(batch.labels))
    floats, integers = (np.stack([np.concatenate(parts) for parts in member]) for member in (fp32, int8))
    return Answers(floats, integers, np.concatenate(labels))


def _right(logits: Logits, group: tuple[int, ...], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    averaged: NDArray[np.int64] = logits[list(group)].mean(0).argmax(1)
    return np.equal(averaged, labels)


@dataclass(frozen=True)
class _Cost:
    int8_ms: float | None
    fp32_ms: float | None
    instructions: int | None


def _cost(build: Build) -> _Cost:
    """Return a member's median latencies, and the instructions that an emulator counted."""
    measured = build.measurements

    def milliseconds(precision: str) -> float | None:
        runs = measured.runs(precision)
        return median(runs[0].runs_ns) / 1e6 if runs else None

    return _Cost(milliseconds("int8"), milliseconds("fp32"), measured.instructions())


def _combination(
    names: Sequence[str],
    group: tuple[int, ...],
    answers: Answers,
    costs: Sequence[_Cost],
    best: NDArray[np.bool_],
    right: NDArray[np.bool_],
) -> Combination:
    chosen = [costs[i] for i in group]
    images, classes = len(answers.labels), answers.fp32.shape[-1]
    fp32_right = _right(answers.fp32, group, answers.labels)
    plausible = judge_answers(
        np.bincount(answers.labels, minlength=classes),
        np.bincount(answers.labels[fp32_right], minlength=classes),
        ReferenceTarget.origin,
    )
    return Combination(
        members=tuple(names[i] for i in group),
        images=images,
        int8_top1=float(right.mean()),
        int8_interval=wilson_interval(int(right.sum()), images),
        int8_against_fp32=paired_images(fp32_right, right),
        plausible=plausible.verdict,
        why=plausible.message,
        int8_against_best_single=paired_images(best, right),
        int8_ms=_sum([cost.int8_ms for cost in chosen]),
        fp32_ms=_sum([cost.fp32_ms for cost in chosen]),
        instructions=_sum([cost.instructions for cost in chosen]),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    """Return the sum of the costs; None if one of them was not measured."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
