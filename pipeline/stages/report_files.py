"""The files of a report, as later stages and commands read them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.report.model.build_report import Report
from pipeline.stages.artifacts import Artifact


@dataclass(frozen=True)
class ReportFiles(Artifact):
    """What `WriteReport` wrote."""

    file_name: ClassVar[str] = "report.json"
    page: ClassVar[str] = "report.html"

    def load(self) -> Report:
        """Read the report."""
        return Report.load(self.path)

    @property
    def html(self) -> Path:
        """The page's path."""
        return self.product.file(self.page)
