"""report.json as a whole: what was built, where it ran, the gates and their verdict."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Discriminator, NonNegativeInt, PositiveInt, Tag, model_validator

from pipeline.diagnosis.diagnosis_record import Diagnosis
from pipeline.report.model.accuracy import Accuracy, Robustness
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.layer_costs import Coverage, LayerSensitivity, MixedPrecision
from pipeline.report.model.performance import (
    ComparedRun,
    Instructions,
    Latency,
    MeasuredLatency,
    MeasuredMemory,
    Sizes,
    SpeedRatio,
)
from pipeline.report.model.pixels import PixelAccuracy
from pipeline.report.record import Record, Sha256, load_record, parse_record
from targets.base import BuildState, Origin


class SkippedImage(Record):
    """An evaluation or calibration image that could not be read."""

    name: str
    reason: str


class Subject(Record):
    """What was built, and from what."""

    model: str
    target: str
    recipe: str
    dataset: str
    classes: tuple[str, ...]
    checkpoint_digest: Sha256
    model_digest: Sha256  # the float ONNX
    int8_model_digest: Sha256  # the Q/DQ ONNX
    engine_digest: Sha256
    evaluation_digest: Sha256  # Split.digest of the evaluation images
    calibration_digest: Sha256
    evaluation_images: PositiveInt
    calibration_images: NonNegativeInt
    skipped_images: tuple[SkippedImage, ...] = ()


def _kind(accuracy: object) -> str:
    pixels = "pixels" in accuracy if isinstance(accuracy, dict) else isinstance(accuracy, PixelAccuracy)
    return "of pixels" if pixels else "of images"


AnyAccuracy = Annotated[
    Annotated[Accuracy, Tag("of images")] | Annotated[PixelAccuracy, Tag("of pixels")], Discriminator(_kind)
]


class FittedPicture(Record):
    """One evaluation picture as it is stored, and as the network sees it: PNG, base64, at most 160 pixels."""

    name: str
    stored: tuple[PositiveInt, PositiveInt]  # height, width
    seen: tuple[PositiveInt, PositiveInt]
    before: str
    after: str


class PictureFitting(Record):
    """What resize and crop do."""

    words: str
    looked_at: NonNegativeInt  # evaluation pictures, evenly drawn
    untouched: NonNegativeInt  # of them: every pixel as it is stored
    picture: FittedPicture | None = None  # one that was changed, if one was; None: none could be read


class Machine(Record):
    """Where one of the two networks ran."""

    origin: Origin
    description: str  # the processor, module or emulator
    fingerprint: str  # the same with the tools and their versions: all that can change a figure


class ToolchainCheck(Record):
    """What a toolchain said about the graph without the device. What is noted is no fault here."""

    name: str
    outcome: Literal["passed", "skipped", "noted"]
    message: str


class Gate(Record):
    """A limit that was asked for, and whether what was measured stays within it."""

    name: str  # the configuration key, e.g. max_drop
    claim: str  # the claim judged, in words: "top-1 drop below 1.00 points"
    limit: float
    value: float | None  # None: not measured
    interval: Interval | None
    unit: str
    origin: Origin | None  # where the value was measured; None: not measured
    verdict: Verdict
    message: str  # why, and for an inconclusive gate what would decide it
    images_to_decide: PositiveInt | None = None  # None: not needed, or no number of images would


class Recommendation(Record):
    """Which of two engines on a device to ship: the faster one whose accuracy passes; a tie goes to FP16."""

    ship: Literal["INT8", "FP16"] | None  # None: neither is shown to pass the accuracy gates
    why: str
    fp16_top1: float  # share of all evaluation images that FP16 got right on the device
    fp16_drop_points: float  # from FP32 to FP16, percentage points
    fp16_drop_interval: Interval
    int8_accuracy: Verdict  # of all accuracy gates together
    fp16_accuracy: Verdict
    speed: SpeedRatio  # INT8's time over FP16's, end to end, timed alternately


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
    recommendation: Recommendation | None = None  # None: there was only one engine to choose from
    instructions_int8: Instructions | None = None  # counted where the engine was emulated
    memory_fp32: MeasuredMemory
    memory_int8: MeasuredMemory
    sizes: Sizes
    machines: tuple[Machine, Machine]  # of FP32, and of INT8
    tools: dict[str, str]  # name -> version
    sensitivity: tuple[LayerSensitivity, ...] | None = None
    coverage: Coverage | None = None
    mixed: MixedPrecision | None = None  # None: nobody asked for layers in float
    robustness: Robustness | None = None
    state: BuildState = BuildState.BUILT
    diagnosis: Diagnosis | None = None  # None: FP32 does better than guessing, or pixels are classified
    checks: tuple[ToolchainCheck, ...] = ()
    fp32_is: str | None = (
        None  # what stands for FP32 where the network came quantised; None: the float network
    )

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


def overall(gates: tuple[Gate, ...]) -> Verdict:
    """Return the verdict of all gates together: meaningless beats fail beats inconclusive beats pass."""
    verdicts = {gate.verdict for gate in gates}
    worst_first = (Verdict.MEANINGLESS, Verdict.FAIL, Verdict.INCONCLUSIVE)
    return next((verdict for verdict in worst_first if verdict in verdicts), Verdict.PASS)
