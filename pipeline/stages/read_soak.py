"""The record of a soak on a device -> sustained.json, if it belongs to this engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.model.sustained_run import SustainedRun
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.device_record import read_device_record, refuse_another_engine


@dataclass(frozen=True)
class ReadSoak(Stage):
    """Check that the record can be read and is of the engine that was built."""

    name: ClassVar[str] = "read-soak"

    record: InputFile
    engine: CompiledEngine

    def run(self, output: Path, progress: Progress) -> None:  # noqa: ARG002 - it takes no time
        """Write sustained.json. Raises UsageError."""
        path = self.record.path
        found = read_device_record(path, SustainedRun, "soak", "a soak", "soak")
        refuse_another_engine(path, "soak", "soak", found.engine_sha256, self.engine.file_digest)
        found.save(output / "sustained.json")
