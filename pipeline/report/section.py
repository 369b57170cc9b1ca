"""What a section of the report is: one subject, in every form that a report takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.console import RenderableType
from rich.text import Text

Part_contra = TypeVar("Part_contra", contravariant=True)


@dataclass(frozen=True)
class HeadlineFigure:
    """One of the figures at the top of the page."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class ComparedFigure:
    """A figure of FP32 beside the same of INT8, as they are written."""

    name: str
    fp32: str
    int8: str


@dataclass(frozen=True)
class MarkdownTable:
    """A table of Markdown with columns of its own."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class ReportSection(Generic[Part_contra]):
    """One subject of the report.

    `Part_contra` is a protocol: the fields of report.json that the section reads. Each method is a form of
    the report, or a place in one; a section overrides those in which it has something to say. Text is plain,
    and escaped when it is rendered. The lead is what stands between the verdict and the gates.
    """

    name: ClassVar[str]
    """Its template is `templates/sections/<name>.html.j2`."""

    def html(self, report: Part_contra) -> Mapping[str, object] | None:
        """Return what its template needs; None leaves the section out of the page."""
        return None

    def terminal(self, report: Part_contra) -> Iterable[RenderableType]:
        """Return what is printed."""
        return ()

    def markdown(self, report: Part_contra) -> Iterable[str | MarkdownTable]:
        """Return paragraphs and tables."""
        return ()

    def markdown_rows(self, report: Part_contra) -> Iterable[ComparedFigure]:
        """Return rows for Markdown's one table of FP32 beside INT8."""
        return ()

    def html_lead(self, report: Part_contra) -> Iterable[str]:
        """Return sentences for the lead of the page."""
        return ()

    def terminal_lead(self, report: Part_contra) -> Iterable[Text]:
        """Return lines for the lead in the terminal."""
        return ()

    def markdown_lead(self, report: Part_contra) -> Iterable[str]:
        """Return paragraphs for the lead in Markdown."""
        return ()

    def tiles(self, report: Part_contra) -> Iterable[HeadlineFigure]:
        """Return figures for the top of the page."""
        return ()

    def methods(self, report: Part_contra) -> Iterable[str]:
        """Return sentences on how its figures were computed, for the end of the page."""
        return ()
