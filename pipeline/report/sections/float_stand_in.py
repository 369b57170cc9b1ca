"""What "FP32" means in the report of a network that came quantised, without its float network."""

from collections.abc import Iterator
from typing import Protocol

from rich.text import Text

from pipeline.report.section import ReportSection


class WithoutFloat(Protocol):
    """What the section reads of report.json."""

    @property
    def fp32_is(self) -> str | None:
        """None: it is the float network."""
        ...


class FloatStandInSection(ReportSection[WithoutFloat]):
    """One sentence in front of all figures that are called FP32; nothing where that is the float network."""

    name = "float_stand_in"

    def html_lead(self, report: WithoutFloat) -> Iterator[str]:
        """Yield the sentence."""
        yield from self.markdown_lead(report)

    def terminal_lead(self, report: WithoutFloat) -> Iterator[Text]:
        """Yield the sentence."""
        yield from (Text(sentence, style="yellow") for sentence in self.markdown_lead(report))

    def markdown_lead(self, report: WithoutFloat) -> Iterator[str]:
        """Yield the sentence."""
        if report.fp32_is is not None:
            yield f"FP32 here is {report.fp32_is}"
