"""The record of a Jetson's power modes -> power_modes.json, if it belongs to this engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.model.power_mode_sweep import PowerModeSweep
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.device_record import read_device_record, refuse_another_engine


@dataclass(frozen=True)
class ReadPowerModes(Stage):
    """Check that the record can be read and is of the engine that was built."""

    name: ClassVar[str] = "read-power-modes"

    record: InputFile
    engine: CompiledEngine

    def run(self, output: Path, progress: Progress) -> None:  # noqa: ARG002 - it takes no time
        """Write power_modes.json. Raises UsageError."""
        path, program = self.record.path, "power-modes"
        found = read_device_record(path, PowerModeSweep, "power_modes", "power modes", program)
        of = found.around.engine.sha256
        refuse_another_engine(path, "power_modes", program, of, self.engine.file_digest)
        found.save(output / "power_modes.json")
