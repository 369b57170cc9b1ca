"""training.html: the curves of a run, and its confusion matrix when it has finished."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.report.lines import LineChart, Points
from pipeline.report.pages.template import render_page
from pipeline.training.judge import Judgement
from pipeline.training.training_run import EpochRecord

REFRESH_S = 5
WORST = 10


@dataclass(frozen=True)
class FrequentConfusion:
    """Images of one class that are taken for another."""

    label: str
    prediction: str
    count: int
    images: int


@dataclass(frozen=True)
class ConfusionCell:
    """A number of images and its share of the row's, in [0, 1]."""

    count: int
    shade: float


@dataclass(frozen=True)
class ConfusionRow:
    """Images of the class at `place`, by what the network says."""

    place: int
    cells: tuple[ConfusionCell, ...]


def render(
    title: str,
    epochs: int,
    history: Sequence[EpochRecord],
    classes: Sequence[str],
    judgement: Judgement | None,
    finished: bool,
) -> str:
    """Return the page; until the run has finished, browsers reload it every few seconds."""
    return render_page(
        "training.html.j2",
        title=title,
        state="finished" if finished else "running",
        done=len(history),
        epochs=epochs,
        seconds=REFRESH_S,
        drawings=[(chart.title, chart.markup()) for chart in curves(history)],
        judged=judgement,
        classes=classes,
        confusions=_confusions(judgement, classes) if judgement else [],
        matrix=_matrix(judgement) if judgement else [],
    )


def curves(history: Sequence[EpochRecord]) -> list[LineChart]:
    """Return the charts of loss and error over epochs, also those of watched images if there are any."""
    loss: dict[str, Points] = {"as learned": [(r.epoch, r.loss) for r in history]}
    error: dict[str, Points] = {"as learned": [(r.epoch, 100 * (1 - r.accuracy)) for r in history]}
    watched = [(r.epoch, r.watched) for r in history if r.watched is not None]
    if watched:
        name = watched[0][1].images.replace("_", " ")
        loss[name] = [(epoch, found.loss) for epoch, found in watched]
        error[name] = [(epoch, 100 * (1 - found.accuracy)) for epoch, found in watched]
    return [
        LineChart("Loss", "epoch", "cross-entropy", loss),
        LineChart("Error", "epoch", "top-1 error, %", error),
    ]


def _confusions(judgement: Judgement, classes: Sequence[str]) -> list[FrequentConfusion]:
    counts = judgement.confusion
    return [
        FrequentConfusion(classes[true], classes[predicted], images, int(counts[true].sum()))
        for true, predicted, images in most_confused(counts)
    ]


def most_confused(confusion: NDArray[np.int64], limit: int = WORST) -> list[tuple[int, int, int]]:
    """Return the largest counts off the diagonal: true class, predicted class, images."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [(int(i // len(wrong)), int(i % len(wrong))) for i in order]
    return [(i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def _matrix(judgement: Judgement) -> list[ConfusionRow]:
    counts = judgement.confusion
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    return [
        ConfusionRow(
            place, tuple(ConfusionCell(int(n), round(float(s), 2)) for n, s in zip(row, share, strict=True))
        )
        for place, (row, share) in enumerate(zip(counts, shares, strict=True))
    ]
