"""What resize and crop do to pictures: in words, and to one of them."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from pydantic import NonNegativeInt, PositiveInt
from rich.padding import Padding
from rich.text import Text

from pipeline.report import figures
from pipeline.report.record import Record
from pipeline.report.section import ReportSection


class FittedPicture(Record):
    """One evaluation picture as it is stored, and as the network sees it: PNG, base64, at most 160 pixels."""

    name: str
    stored: tuple[PositiveInt, PositiveInt]  # height, width
    seen: tuple[PositiveInt, PositiveInt]
    before: str
    after: str


class PictureFitting(Record):
    """What resize and crop do."""

    words: str
    looked_at: NonNegativeInt  # evaluation pictures, evenly drawn
    untouched: NonNegativeInt  # of them: every pixel as it is stored
    picture: FittedPicture | None = None  # one that was changed, if one was; None: none could be read


class Fitted(Protocol):
    """What the section reads of report.json."""

    @property
    def fitting(self) -> PictureFitting | None:
        """None in reports that were written without it."""
        ...


class PictureFittingSection(ReportSection[Fitted]):
    """The rule, how many pictures it leaves as they are, and one that it changes."""

    name = "picture_fitting"

    def html(self, report: Fitted) -> Mapping[str, object] | None:
        """Return the rule in words, and the picture."""
        if report.fitting is None:
            return None
        return {"line": fitting_line(report.fitting), "picture": report.fitting.picture}

    def terminal(self, report: Fitted) -> Iterator[Padding]:
        """Yield the rule in words."""
        if report.fitting is not None:
            line = Text(f"pictures: {fitting_line(report.fitting)}", style="dim")
            yield Padding(line, (1, 0, 0, 1))

    def markdown(self, report: Fitted) -> Iterator[str]:
        """Yield the rule in words."""
        if report.fitting is not None:
            yield f"Pictures: {fitting_line(report.fitting)}"


def fitting_line(fitting: PictureFitting) -> str:
    """Say what resize and crop do, and to how many pictures nothing."""
    if not fitting.looked_at:
        return fitting.words
    looked_at = figures.plural(fitting.looked_at, "picture")
    changed = fitting.looked_at - fitting.untouched
    if changed:
        return f"{fitting.words}; this changes {figures.count(changed)} of {looked_at} looked at"
    return f"{fitting.words}; this leaves {looked_at} looked at as they are"
