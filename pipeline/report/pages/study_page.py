"""How many calibration images are enough: the record of a study, and its page."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from pipeline.report import plots
from pipeline.report.model.calibration_study import CalibrationStudy, Draw
from pipeline.report.pages.template import render_page


@dataclass(frozen=True)
class Dot:
    """A draw in a drawing, in percent from the left and from the top."""

    x: float
    y: float


@dataclass(frozen=True)
class Scatter:
    """Draws against their number of images, which is on a logarithmic axis."""

    title: str
    unit: str
    axis: plots.Axis
    dots: tuple[Dot, ...]
    means: tuple[Dot, ...]
    images: tuple[tuple[int, float], ...]  # a number of images, and where it is
    enough_at: float | None

    @property
    def segments(self) -> list[tuple[Dot, Dot]]:
        """The line through the means."""
        return list(pairwise(self.means))

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """Written values, and where they are from the top."""
        return [(f"{tick:g}", 100 - self.axis.at(tick)) for tick in self.axis.ticks()]


def conclusion(study: CalibrationStudy) -> str:
    """Say how many images are enough, and why."""
    last = study.counts[-1]
    if study.enough is None:
        return (
            f"No number below {last.images} images is enough: some draw of each is more than"
            f" {study.tolerance_db:g} dB worse than the mean of {last.images}. Try more."
        )
    return (
        f"{study.enough} images are enough: from there on, every draw is at most {study.tolerance_db:g} dB"
        f" below the mean of {last.images} images, {last.mean_sqnr_db:.2f} dB."
    )


def study_html(study: CalibrationStudy) -> str:
    """Return the study as a complete HTML document."""
    return render_page(
        "study.html.j2",
        study=study,
        conclusion=conclusion(study),
        scatters=(
            _scatter(study, "SQNR of the logits", "dB", lambda draw: draw.sqnr_db),
            _scatter(study, "Same top-1 as FP32", "%", lambda draw: 100 * draw.agreement),
        ),
    )


def _scatter(study: CalibrationStudy, title: str, unit: str, value: Callable[[Draw], float]) -> Scatter:
    axis = plots.axis_around([value(draw) for count in study.counts for draw in count.draws])
    logs = [math.log2(count.images) for count in study.counts]
    across = plots.Axis(logs[0] - 0.5, logs[-1] + 0.5)
    dots, means = [], []
    for count, log in zip(study.counts, logs, strict=True):
        values = [value(draw) for draw in count.draws]
        x = across.at(log)
        dots += [Dot(x, 100 - axis.at(v)) for v in values]
        means.append(Dot(x, 100 - axis.at(sum(values) / len(values))))
    images = tuple((count.images, across.at(log)) for count, log in zip(study.counts, logs, strict=True))
    enough_at = None if study.enough is None else across.at(math.log2(study.enough))
    return Scatter(title, unit, axis, tuple(dots), tuple(means), images, enough_at)
