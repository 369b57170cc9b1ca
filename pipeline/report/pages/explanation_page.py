"""Why a picture gets another class in INT8, as one page."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report import plots
from pipeline.report.model.image_explanation import ImageExplanation
from pipeline.report.pages.template import render_page

ROOM = 0.08
"""Of the drawn margins' width, left free at either end."""


@dataclass(frozen=True)
class MarginPoint:
    """A network's margin in the drawing, percent from the left."""

    name: str
    kind: str
    x: float
    margin: float
    answer: str


def explanation_html(found: ImageExplanation) -> str:
    """Return the explanation as a complete HTML document."""
    values = [0.0, found.fp32.margin, found.int8.margin, *(one.margin for one in found.more_bits)]
    free = ROOM * (max(values) - min(values))
    axis = plots.Axis(min(values) - free, max(values) + free)
    return render_page(
        "explanation.html.j2",
        found=found,
        points=_points(found, axis),
        zero=axis.at(0.0),
        near=[
            (name, [one for one in found.near if one.label == name]) for name in (found.first, found.second)
        ],
    )


def _points(found: ImageExplanation, axis: plots.Axis) -> Sequence[MarginPoint]:
    rows = [("FP32", "fp32", found.fp32), ("INT8", "int8", found.int8)]
    return [
        *(MarginPoint(name, kind, axis.at(one.margin), one.margin, one.answer) for name, kind, one in rows),
        *(
            MarginPoint(one.change, "int8", axis.at(one.margin), one.margin, one.answer)
            for one in found.more_bits
        ),
    ]
