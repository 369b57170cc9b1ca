"""The files of a report, as later stages and commands read them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter

from pipeline.report.model.build_report import Report
from pipeline.stages.artifacts import Artifact, StageOutput


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
        return self.file(self.page)


@dataclass(frozen=True)
class ReportPart(StageOutput):
    """What a stage measured for one field of the report: a single JSON file, named like that field."""

    @property
    def field(self) -> str:
        """The field of the report."""
        return self.only_file.stem

    def load(self) -> Any:  # noqa: ANN401 - the field's type, which the report names
        """Read the field's value."""
        kind = TypeAdapter(Report.model_fields[self.field].rebuild_annotation())
        return kind.validate_json(self.only_file.read_bytes())
