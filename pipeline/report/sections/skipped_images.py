"""Images that could not be read, and took no part."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.text import Text

from pipeline.report import figures
from pipeline.report.model.subject import Subject
from pipeline.report.section import ReportSection


class Sampled(Protocol):
    """What the section reads of report.json."""

    @property
    def subject(self) -> Subject:
        """It has the names and the reasons."""
        ...


class SkippedImageSection(ReportSection[Sampled]):
    """Their names and the reasons; nothing if all could be read."""

    name = "skipped_images"

    def html(self, report: Sampled) -> Mapping[str, object] | None:
        """Return the images."""
        return {"skipped": report.subject.skipped_images} if report.subject.skipped_images else None

    def terminal_lead(self, report: Sampled) -> Iterator[Text]:
        """Yield how many there are, and the names of the first."""
        skipped = report.subject.skipped_images
        if skipped:
            names = ", ".join(image.name for image in skipped[:3]) + (", ..." if len(skipped) > 3 else "")
            said = f"{figures.plural(len(skipped), 'unreadable image')} skipped: {names}"
            yield Text(said, style="yellow")
