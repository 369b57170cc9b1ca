"""What was tried on labelled images because FP32 does no better than guessing, and what came of it."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from pydantic import NonNegativeInt, PositiveInt

from pipeline.report.record import Record
from pipeline.report.section import ReportSection
from pipeline.report.table import FigureTable

EXPORT = "[export]"
"""Where a known model's normalisation is said: in a table of the build's own settings."""


class TriedInput(Record):
    """One way to prepare pictures, and how many it made the network get right."""

    name: str
    right: NonNegativeInt
    lines: tuple[str, ...]  # of TOML, that say so


class ClassOrder(Record):
    """Another order of the classes, found on half of the images and judged on the other."""

    images: PositiveInt  # of the other half
    right: NonNegativeInt
    right_as_told: NonNegativeInt
    labels: tuple[str, ...]  # of the network's outputs, in order


class Diagnosis(Record):
    """Usual causes, tried in order."""

    images: PositiveInt
    right_as_told: NonNegativeInt
    tried: tuple[TriedInput, ...]
    best: TriedInput | None  # None: nothing makes the network clearly better than guessing
    rivals: tuple[str, ...] = ()  # what is not shown to be worse than the best
    class_order: ClassOrder | None = None
    where: str  # the file, and its table, that the lines belong in

    @property
    def conclusion(self) -> str:
        """Say in one sentence what was found, and what to do."""
        if self.best is not None:
            found = (
                f"With {self.best.name}: {self.best.right} of {self.images} right instead of"
                f" {self.right_as_told}. Put into {self.where}: {'; '.join(self.best.lines)}."
            )
            if self.rivals:
                found += f" Not shown to be worse: {', '.join(self.rivals)}."
            return found
        if self.class_order is not None:
            order = self.class_order
            place = f"Put into {self.where}"
            if self.where == EXPORT:
                place = "Write the network as ONNX with `edgec export`, and put into the .toml beside it"
            return (
                f"The classes are in another order: with the one that fits half of the images, {order.right}"
                f" of the other {order.images} are right instead of {order.right_as_told}. {place}:"
                f" {self.order_line}."
            )
        return (
            f"None of the usual causes explains it: {len(self.tried)} ways to prepare pictures were tried"
            f" on {self.images} images, and the order of the classes. Weights that are not trained look like"
            " this, and so do wrong labels."
        )

    @property
    def order_line(self) -> str:
        """Return the line of TOML that puts the classes right."""
        assert self.class_order is not None  # noqa: S101 - who asks has looked
        return f"labels = {list(self.class_order.labels)}".replace("'", '"')


class Diagnosed(Protocol):
    """What the section reads of report.json."""

    @property
    def diagnosis(self) -> Diagnosis | None:
        """None: FP32 does better than guessing, or pixels are classified."""
        ...


class DiagnosisSection(ReportSection[Diagnosed]):
    """What was found, and all that was tried."""

    name = "diagnosis"

    def html(self, report: Diagnosed) -> Mapping[str, object] | None:
        """Return the diagnosis."""
        return None if report.diagnosis is None else {"diagnosis": report.diagnosis}

    def terminal(self, report: Diagnosed) -> Iterator[FigureTable]:
        """Yield what was tried, with what was found below it."""
        found = report.diagnosis
        if found is None:
            return
        table = FigureTable("Why FP32 guesses", "right", caption=found.conclusion)
        table.add_row("as described", f"{found.right_as_told} of {found.images}")
        for one in found.tried:
            table.add_row(one.name, f"{one.right} of {found.images}")
        yield table

    def markdown_lead(self, report: Diagnosed) -> Iterator[str]:
        """Yield what was found."""
        if report.diagnosis is not None:
            yield report.diagnosis.conclusion
