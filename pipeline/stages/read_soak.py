"""The record of a soak on a device -> sustained.json, if it belongs to this engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.errors import UsageError
from pipeline.progress import Progress
from pipeline.reading.json_text import check_values
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import REPORT_BYTES
from pipeline.report.model.sustained_run import SustainedRun
from pipeline.stages.compile import CompiledEngine
from targets.validation_errors import few_errors


@dataclass(frozen=True)
class ReadSoak(Stage):
    """Check that the record can be read and is of the engine that was built."""

    name: ClassVar[str] = "read-soak"

    record: InputFile
    engine: CompiledEngine

    def run(self, output: Path, progress: Progress) -> None:  # noqa: ARG002 - it takes no time
        """Write sustained.json. Raises UsageError."""
        path = self.record.path
        try:
            content = read_plain(path, REPORT_BYTES)
            check_values(content)
            found = SustainedRun.model_validate_json(content)
        except (OSError, ValueError) as error:
            wrong = few_errors(error) if isinstance(error, ValidationError) else []
            why = wrong[0]["msg"].lower() if wrong else str(error)[:200]
            raise UsageError(
                f"soak is {path}, which is not a record of a soak: {why}. Give"
                " the soak.json that `./run soak` of this version wrote on the device."
            ) from error
        if found.engine_sha256 != self.engine.file_digest:
            raise UsageError(
                f"soak is {path}, the record of another engine ({found.engine_sha256[:12]}, built here was "
                f"{self.engine.file_digest[:12]}). Run `./run soak` with this bundle."
            )
        found.save(output / "sustained.json")
