"""model.int8.onnx -> the target's engine."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.cache.digest import value_digest
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from targets.base import CHECKS, Check, Talkative, Target
from targets.registry import find_target


@dataclass(frozen=True)
class CompiledEngine:
    """What `Compile` made, for what, and where it runs."""

    product: Product
    file_name: str
    target: str
    fingerprint: str
    device: str | None = None
    """ssh://... if it runs on a device; what that is, is in the fingerprint."""

    @property
    def where(self) -> Target:
        """What opens the engine, at its device if there is one."""
        return find_target(self.target, self.device)

    def heard(self, progress: Progress) -> Target:
        """As `where`, with `progress` saying what a device says while it works."""
        target = self.where
        if isinstance(target, Talkative):
            target.say = progress.say
        return target

    @property
    def path(self) -> Path:
        """The engine's file."""
        return self.product.file(self.file_name)

    @property
    def checks(self) -> tuple[Check, ...]:
        """What the toolchain said while it was built."""
        if CHECKS not in self.product.digests:
            return ()
        return tuple(Check(**fields) for fields in json.loads(self.product.file(CHECKS).read_text()))

    @property
    def digest(self) -> str:
        """Changes with the engine's bytes, the toolchain and the device, also among boards of a kind."""
        return value_digest(
            [self.product.digests, self.file_name, self.target, self.fingerprint, self.device]
        )


@dataclass(frozen=True)
class Compile(Stage):
    """Let the target's toolchain build the engine."""

    name: ClassVar[str] = "compile"

    float_model: Product
    int8_model: Product
    target: str
    fingerprint: str
    file_name: str

    def run(self, output: Path, progress: Progress) -> None:
        """Write the engine. Raises EngineError."""
        with progress.task(f"compile for {self.target}", None):
            models = self.int8_model.file("model.int8.onnx"), self.float_model.file("model.onnx")
            find_target(self.target).build(models[0], output / self.file_name, float_model=models[1])
