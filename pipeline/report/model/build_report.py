"""report.json as a whole: what was built, where it ran, the gates and their verdict; and its sections."""

from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from pipeline.report.model.any_accuracy import AnyAccuracy
from pipeline.report.model.candidate_figures import EngineCandidate
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.corrupted_accuracy import Robustness
from pipeline.report.model.float_layers import Coverage, MixedPrecision
from pipeline.report.model.fp8_accuracy import Fp8Accuracy
from pipeline.report.model.gate import Gate, overall
from pipeline.report.model.input_diagnosis import Diagnosis
from pipeline.report.model.layer_noise import LayerSensitivity
from pipeline.report.model.measured_latency import Instructions, Latency, MeasuredLatency, SpeedRatio
from pipeline.report.model.measured_sizes import MeasuredMemory, Sizes
from pipeline.report.model.picture_latency import EndToEnd
from pipeline.report.model.power_mode_sweep import PowerModeSweep
from pipeline.report.model.subject import Machine, Subject
from pipeline.report.model.sustained_run import SustainedRun
from pipeline.report.model.toolchain_check import ToolchainCheck
from pipeline.report.record import Record, load_record, parse_record
from pipeline.report.section import ReportSection
from pipeline.report.sections.accuracy import AccuracySection
from pipeline.report.sections.class_accuracy import ClassAccuracySection
from pipeline.report.sections.compared_runs import ComparedRun, ComparedRunSection
from pipeline.report.sections.diagnosis import DiagnosisSection
from pipeline.report.sections.end_to_end import EndToEndSection
from pipeline.report.sections.engine_candidates import EngineCandidateSection
from pipeline.report.sections.float_stand_in import FloatStandInSection
from pipeline.report.sections.fp8_beside_int8 import Fp8Section
from pipeline.report.sections.int8_coverage import Int8CoverageSection
from pipeline.report.sections.latency import LatencySection
from pipeline.report.sections.layer_sensitivity import LayerSensitivitySection
from pipeline.report.sections.picture_fitting import PictureFitting, PictureFittingSection
from pipeline.report.sections.pixel_classes import PixelClassSection
from pipeline.report.sections.pixels import PixelSection
from pipeline.report.sections.power_mode_table import PowerModeSection
from pipeline.report.sections.provenance import ProvenanceSection
from pipeline.report.sections.recommendation import Recommendation, RecommendationSection
from pipeline.report.sections.robustness import RobustnessSection
from pipeline.report.sections.sizes import SizeSection
from pipeline.report.sections.skipped_images import SkippedImageSection
from pipeline.report.sections.sustained_speed import SustainedSection
from pipeline.report.sections.toolchain_checks import ToolchainCheckSection
from targets.base import BuildState


class Report(Record):
    """Everything one build claims about what it made."""

    schema_version: Literal[1] = 1
    verdict: Verdict
    subject: Subject
    gates: tuple[Gate, ...]
    accuracy: AnyAccuracy
    latency_fp32: MeasuredLatency
    latency_int8: MeasuredLatency
    speed: SpeedRatio | None = None  # INT8's time over FP32's; None: they were not measured alternately
    compared: tuple[ComparedRun, ...] = ()  # what was timed in alternation with INT8
    no_peer: str | None = None  # why onnxruntime's own INT8 is not among them
    fitting: PictureFitting | None = None
    end_to_end: EndToEnd | None = None  # None: the engine does not run on the build machine
    recommendation: Recommendation | None = None  # None: there was only one engine to choose from
    candidates: tuple[EngineCandidate, ...] = ()  # forms of the network that competed on a device
    instructions_int8: Instructions | None = None  # counted where the engine was emulated
    memory_fp32: MeasuredMemory
    memory_int8: MeasuredMemory
    sizes: Sizes
    machines: tuple[Machine, Machine]  # of FP32, and of INT8
    tools: dict[str, str]  # name -> version
    sensitivity: tuple[LayerSensitivity, ...] | None = None
    coverage: Coverage | None = None
    mixed: MixedPrecision | None = None  # None: not asked for
    robustness: Robustness | None = None
    sustained: SustainedRun | None = None  # None: no record of a device's soak was given
    power_modes: PowerModeSweep | None = None  # None: no record of a Jetson's power modes was given
    fp8: Fp8Accuracy | None = None  # None: the module has none, or the network no form in it
    state: BuildState = BuildState.BUILT
    diagnosis: Diagnosis | None = None  # None: FP32 does better than guessing, or pixels are classified
    checks: tuple[ToolchainCheck, ...] = ()
    fp32_is: str | None = None  # what stands for it where the network came quantised; None: the float network

    @model_validator(mode="after")
    def _verdict_follows_from_gates(self) -> Self:
        if self.verdict is not overall(self.gates):
            raise ValueError(f"verdict is {self.verdict} but the gates say {overall(self.gates)}")
        return self

    @property
    def measured_at(self) -> datetime | None:
        """When the newest latency was measured; None if none was."""
        measured = [
            one.measured_at for one in (self.latency_fp32, self.latency_int8) if isinstance(one, Latency)
        ]
        return max(measured, default=None)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read report.json. Raises ReportError saying what is wrong with the file."""
        return load_record(cls, path, "report", version=1)

    @classmethod
    def parse(cls, content: bytes, source: str) -> Self:
        """Read the bytes of a report.json that lay at `source`. Raises ReportError."""
        return parse_record(cls, content, source, "report", version=1)


SECTIONS: tuple[ReportSection[Report], ...] = (
    FloatStandInSection(),
    DiagnosisSection(),
    SkippedImageSection(),
    RecommendationSection(),
    EngineCandidateSection(),
    ToolchainCheckSection(),
    AccuracySection(),
    Fp8Section(),
    PixelSection(),
    PictureFittingSection(),
    LatencySection(),
    SustainedSection(),
    PowerModeSection(),
    EndToEndSection(),
    ComparedRunSection(),
    SizeSection(),
    ClassAccuracySection(),
    PixelClassSection(),
    Int8CoverageSection(),
    LayerSensitivitySection(),
    RobustnessSection(),
    ProvenanceSection(),
)
"""In the order in which every form of the report shows them."""
