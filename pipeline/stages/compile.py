"""model.int8.onnx -> the target's engine."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.cache.digest import value_digest
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.artifacts import FloatModel, QuantizedModel, StageOutput
from targets.base import CHECKS, Check, FitsPictures, ReportsProgress, Target
from targets.registry import find_target
from targets.runtime.preprocess import Preprocessing


@dataclass(frozen=True)
class CompiledEngine(StageOutput):
    """An engine made by `Compile`, with its target and the device that it runs on."""

    file_name: str
    target_name: str
    fingerprint: str
    device: str | None = None
    """ssh://... if it runs on a device; the fingerprint says which hardware that is."""

    @property
    def target(self) -> Target:
        """The target that opens the engine, on its device if there is one."""
        return find_target(self.target_name, self.device)

    def target_reporting_to(self, progress: Progress) -> Target:
        """Return the target, which passes on to `progress` what a device reports while it works."""
        target = self.target
        if isinstance(target, ReportsProgress):
            target.say = progress.say
        return target

    @property
    def path(self) -> Path:
        """The engine's file."""
        return self.file(self.file_name)

    @property
    def file_digest(self) -> str:
        """The SHA-256 of the engine's bytes, in hex."""
        return self.product.digests[self.file_name]

    @property
    def checks(self) -> tuple[Check, ...]:
        """What the toolchain reported while it built the engine."""
        if CHECKS not in self.names:
            return ()
        return tuple(Check(**fields) for fields in json.loads(self.file(CHECKS).read_text()))

    @property
    def digest(self) -> str:
        """The SHA-256 over the engine's bytes, the toolchain and the device itself."""
        return value_digest(
            [self.product.digests, self.file_name, self.target_name, self.fingerprint, self.device]
        )


@dataclass(frozen=True)
class Compile(Stage):
    """Build the engine with the target's toolchain."""

    name: ClassVar[str] = "compile"

    float_model: FloatModel
    int8_model: QuantizedModel
    target: str
    fingerprint: str
    file_name: str
    fitting: Preprocessing | None
    """How an engine that is also a program fits pictures; None for other engines."""

    def run(self, output: Path, progress: Progress) -> None:
        """Write the engine. Raises EngineError."""
        with progress.task(f"compile for {self.target}", None):
            target = find_target(self.target)
            if isinstance(target, FitsPictures):
                target.fitting = self.fitting
            engine, floats = output / self.file_name, self.float_model.path
            target.build(self.int8_model.path, engine, float_model=floats)
