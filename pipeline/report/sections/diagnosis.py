"""The causes that were tried on labelled images because FP32 does no better than guessing, and the result."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from pipeline.report.model.input_diagnosis import Diagnosis, right_words
from pipeline.report.section import ReportSection
from pipeline.report.table import FigureTable


class Diagnosed(Protocol):
    """What the section reads of report.json."""

    @property
    def diagnosis(self) -> Diagnosis | None:
        """None: FP32 does better than guessing, or nothing says what is right."""
        ...


class DiagnosisSection(ReportSection[Diagnosed]):
    """What was found, and all that was tried."""

    name = "diagnosis"

    def html(self, report: Diagnosed) -> Mapping[str, object] | None:
        """Return the diagnosis."""
        if report.diagnosis is None:
            return None
        tried = (report.diagnosis.as_described, *report.diagnosis.tried)
        return {"diagnosis": report.diagnosis, "tried": tried, "right_words": right_words}

    def terminal(self, report: Diagnosed) -> Iterator[FigureTable]:
        """Yield what was tried, with what was found below it."""
        found = report.diagnosis
        if found is None:
            return
        table = FigureTable("Why FP32 guesses", "right", caption=found.conclusion)
        of_all = f" of {found.images}" if found.pixels_as_told is None else ""
        for one in (found.as_described, *found.tried):
            table.add_row(one.name, f"{right_words(one)}{of_all}")
        yield table

    def markdown_lead(self, report: Diagnosed) -> Iterator[str]:
        """Yield what was found."""
        if report.diagnosis is not None:
            yield report.diagnosis.conclusion
