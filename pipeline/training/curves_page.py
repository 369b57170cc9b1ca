"""training.html: the curves of a run, and its confusion matrix when it has finished."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from pipeline.report.lines import LineChart, Points
from pipeline.training.judge import Judgement
from pipeline.training.training_run import EpochRecord

REFRESH_S = 5
WORST = 10

STYLE = """
body { font-family: sans-serif; margin: 2em; color: #222; background: #fff; max-width: 80em }
table { border-collapse: collapse; font-size: 11px }
td, th { padding: 2px 4px; text-align: right; border: 1px solid #eee }
th { font-weight: normal }
.wide { overflow-x: auto }
"""


def render(
    title: str,
    epochs: int,
    history: Sequence[EpochRecord],
    classes: Sequence[str],
    judgement: Judgement | None,
    finished: bool,
) -> str:
    """Return the page; until the run has finished, browsers reload it every few seconds."""
    refresh = "" if finished else f'<meta http-equiv="refresh" content="{REFRESH_S}">'
    state = "finished" if finished else "running"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f"<p>{state}, epoch {len(history)} of {epochs}</p>",
        *(chart.svg() for chart in curves(history)),
    ]
    if judgement is not None:
        parts += _judged(judgement, classes)
    return "\n".join([*parts, "</body></html>"]) + "\n"


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


def _judged(judgement: Judgement, classes: Sequence[str]) -> list[str]:
    confusion = judgement.confusion
    return [
        "<h2>Evaluation images</h2>",
        f"<p>top-1 {judgement.accuracy:.2%} of {judgement.seen}, mean over classes"
        f" {judgement.balanced_accuracy:.2%}, in float32</p>",
        "<h3>Most frequent confusions</h3><ul>",
        *(
            f"<li>{escape(classes[true])} taken for {escape(classes[predicted])}:"
            f" {n} of {confusion[true].sum()}</li>"
            for true, predicted, n in most_confused(confusion)
        ),
        '</ul><h3>Confusion matrix</h3><p>Rows: true class, columns: predicted class.</p><div class="wide">',
        _table(confusion, classes),
        "</div>",
    ]


def most_confused(confusion: NDArray[np.int64], limit: int = WORST) -> list[tuple[int, int, int]]:
    """Return the largest counts off the diagonal: true class, predicted class, images."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [(int(i // len(wrong)), int(i % len(wrong))) for i in order]
    return [(i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def _table(confusion: NDArray[np.int64], classes: Sequence[str]) -> str:
    rows = []
    for name, counts in zip(classes, confusion, strict=True):
        whole = max(1, int(counts.sum()))
        cells = "".join(
            f'<td style="background: rgb(11 98 164 / {count / whole:.2f})">{count or ""}</td>'
            for count in counts.tolist()
        )
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in classes)
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"
