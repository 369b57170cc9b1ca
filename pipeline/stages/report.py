"""What was measured, and what it was measured on -> report.json and report.html."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.data.split import Split
from pipeline.digest import InputFile
from pipeline.progress import Progress
from pipeline.report.gates import drop_gate, latency_gate, ratio_gate
from pipeline.report.latency import latency_of, memory_of
from pipeline.report.model import (
    Accuracy,
    Coverage,
    Gate,
    Instructions,
    LayerSensitivity,
    Machine,
    MeasuredLatency,
    MeasuredMemory,
    MixedPrecision,
    NotMeasured,
    PairedRate,
    Report,
    Robustness,
    Sizes,
    SpeedRatio,
    Subject,
    overall,
)
from pipeline.report.speed import speed_ratio
from pipeline.stage import Stage
from pipeline.stages.attribute import Sensitivities
from pipeline.stages.compile import Engine
from pipeline.stages.validate import SkippedImages
from pipeline.store import Product
from targets.base import Origin
from targets.reference import ReferenceTarget
from targets.registry import find_target
from targets.runtime.measure import Measurement, from_json

TOOLS = (
    *("edgec", "torch", "safetensors", "onnx", "onnxruntime", "numpy", "scipy", "opencv-python"),
    *("apache-tvm", "apache-tvm-ffi", "ziglang"),
)
OUTSIDE = NotMeasured(
    reason="a bundle holds nothing that differs from build to build; the report beside it has this figure"
)
"""In place of what a clock or the memory of a process says."""


@dataclass(frozen=True)
class GateLimits:
    """What INT8 must keep to; None is no gate."""

    max_drop: float
    """Points of top-1."""
    min_ratio: float | None = None
    """Share of FP32's top-1."""
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None

    def judge(self, top1: PairedRate, latency: MeasuredLatency, origin: Origin) -> Iterator[Gate]:
        """Yield the gates that are set, with their verdicts."""
        yield drop_gate(top1, self.max_drop, origin)
        if self.min_ratio is not None:
            yield ratio_gate(top1, self.min_ratio, origin)
        if self.p50_ms is not None:
            yield latency_gate(latency, "p50", self.p50_ms)
        if self.p90_ms is not None:
            yield latency_gate(latency, "p90", self.p90_ms)
        if self.p99_ms is not None:
            yield latency_gate(latency, "p99", self.p99_ms)


@dataclass(frozen=True)
class Measured:
    """What was measured of both networks besides accuracy."""

    latency_fp32: MeasuredLatency = OUTSIDE
    latency_int8: MeasuredLatency = OUTSIDE
    memory_fp32: MeasuredMemory = OUTSIDE
    memory_int8: MeasuredMemory = OUTSIDE
    speed: SpeedRatio | None = None
    instructions_int8: Instructions | None = None


@dataclass(frozen=True)
class WriteReport(Stage):
    """Judge the figures by the gates and write everything down."""

    name: ClassVar[str] = "report"
    code: ClassVar[tuple[str, ...]] = (
        "pipeline/stages/report.py",
        "pipeline/report",
        "calibration/coverage.py",
    )
    tools: ClassVar[tuple[str, ...]] = TOOLS

    model: str
    recipe: QuantRecipe
    dataset: str
    threads: int
    limits: GateLimits
    evaluation: Split
    calibration: Split
    checkpoint: InputFile
    float_model: Product
    int8_model: Product
    engine: Engine
    accuracy: Product
    measurements: Product | None
    """None leaves out what is not the same every time it is measured: latency and memory."""
    sensitivity: Product | None
    robustness: Product | None

    def run(self, output: Path, progress: Progress) -> None:
        """Write report.json and report.html."""
        from pipeline.report.html import render_html

        with progress.task("report", None):
            report = self._report()
            report.save(output / "report.json")
            (output / "report.html").write_text(render_html(report), encoding="utf-8")

    def _report(self) -> Report:
        accuracy = Accuracy.model_validate_json(self.accuracy.file("accuracy.json").read_text())
        origin = find_target(self.engine.target).origin
        measured = self._measured(self.measurements, origin) if self.measurements else Measured()
        gates = tuple(self.limits.judge(accuracy.top1, measured.latency_int8, origin))
        return Report(
            verdict=overall(gates),
            subject=self._subject(),
            gates=gates,
            accuracy=accuracy,
            latency_fp32=measured.latency_fp32,
            latency_int8=measured.latency_int8,
            speed=measured.speed,
            instructions_int8=measured.instructions_int8,
            memory_fp32=measured.memory_fp32,
            memory_int8=measured.memory_int8,
            sizes=self._sizes(),
            machines=self._machines(origin),
            coverage=self._coverage(),
            mixed=self._mixed(),
            sensitivity=self._sensitivity(),
            tools={"python": python_version(), **{tool: version(tool) for tool in TOOLS}},
            robustness=self._robustness(),
        )

    def _measured(self, found: Product, origin: Origin) -> Measured:
        def read(precision: str) -> list[Measurement]:  # of latency, and of memory
            return from_json(found.file(f"{precision}.json").read_text())

        fp32, fp32_alone = read("fp32")
        latency_fp32 = latency_of(fp32, ReferenceTarget.origin, self.threads)
        memory_fp32 = _memory(fp32_alone, ReferenceTarget.origin)
        if "int8.json" in found.digests:
            int8, int8_alone = read("int8")
            latency_int8 = latency_of(int8, origin, self.threads)
            memory_int8 = _memory(int8_alone, origin)
            return Measured(latency_fp32, latency_int8, memory_fp32, memory_int8, speed_ratio(fp32, int8))
        absent = NotMeasured(reason=f"{self.engine.target} is not this machine, and no device was given")
        instructions = self._instructions(found, origin)
        return Measured(latency_fp32, absent, memory_fp32, absent, None, instructions)

    def _coverage(self) -> Coverage:
        from calibration.coverage import coverage

        found = coverage(self.int8_model.file("model.int8.onnx"))
        return Coverage(
            int8_macs=found.int8_macs, total_macs=found.total_macs, float_layers=found.float_layers
        )

    def _mixed(self) -> MixedPrecision | None:
        if "mixed.json" not in self.int8_model.digests:
            return None
        return MixedPrecision.model_validate_json(self.int8_model.file("mixed.json").read_text())

    def _robustness(self) -> Robustness | None:
        if self.robustness is None:
            return None
        return Robustness.model_validate_json(self.robustness.file("robustness.json").read_text())

    def _sensitivity(self) -> tuple[LayerSensitivity, ...] | None:
        if self.sensitivity is None:
            return None
        return Sensitivities.validate_json(self.sensitivity.file("sensitivity.json").read_bytes())

    def _instructions(self, found: Product, origin: Origin) -> Instructions | None:
        if "instructions.json" not in found.digests:
            return None
        counted = json.loads(found.file("instructions.json").read_text())
        return Instructions(origin=origin, per_inference=counted, machine=self.engine.fingerprint)

    def _subject(self) -> Subject:
        return Subject(
            model=self.model,
            target=self.engine.target,
            recipe=self.recipe.name,
            dataset=self.dataset,
            classes=self.evaluation.classes,
            checkpoint_digest=self.checkpoint.digest,
            model_digest=self.float_model.digests["model.onnx"],
            int8_model_digest=self.int8_model.digests["model.int8.onnx"],
            engine_digest=self.engine.product.digests[self.engine.file_name],
            evaluation_digest=self.evaluation.digest,
            calibration_digest=self.calibration.digest,
            evaluation_images=len(self.evaluation),
            calibration_images=len(self.calibration),
            skipped_images=SkippedImages.validate_json(self.accuracy.file("skipped.json").read_bytes()),
        )

    def _sizes(self) -> Sizes:
        return Sizes(
            checkpoint=self.checkpoint.path.stat().st_size,
            model=self.float_model.file("model.onnx").stat().st_size,
            int8_model=self.int8_model.file("model.int8.onnx").stat().st_size,
            engine=self.engine.path.stat().st_size,
        )

    def _machines(self, origin: Origin) -> tuple[Machine, Machine]:
        """Describe what ran FP32, and what ran the engine."""
        reference, device = ReferenceTarget(), find_target(self.engine.target).device()
        return (
            Machine(
                origin=reference.origin, description=reference.device(), fingerprint=reference.fingerprint()
            ),
            Machine(origin=origin, description=device, fingerprint=self.engine.fingerprint),
        )


def _memory(alone: Measurement, origin: Origin) -> MeasuredMemory:
    if alone.memory is None:
        return NotMeasured(reason="this system does not tell a process its peak memory")
    return memory_of(alone.memory, origin)
