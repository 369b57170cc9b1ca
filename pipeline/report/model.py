"""The schema of report.json: everything a build claims, each figure with where it was measured.

A figure that was not measured is a `NotMeasured` with its reason: never null, never zero. Units are in names.
"""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Discriminator, Field, NonNegativeInt, PositiveInt, Tag, model_validator

from pipeline.report.record import Record, load_record, parse_record
from targets.base import BuildState, Origin

Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Verdict(StrEnum):
    """What a gate says. Inconclusive means: measure more, the message says how much."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Interval(Record):
    """A two-sided confidence interval, in the unit of the figure it belongs to."""

    low: float
    high: float | None  # None: unbounded above, there are too few observations for an upper end
    level: float = 0.95

    def scaled(self, factor: float) -> "Interval":
        """Return the interval in another unit; `factor` is positive."""
        high = None if self.high is None else self.high * factor
        return Interval(low=self.low * factor, high=high, level=self.level)


class NotMeasured(Record):
    """A figure that nobody measured, and why."""

    kind: Literal["not measured"] = "not measured"
    reason: str


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


class PairedRate(Record):
    """How often FP32 and INT8 were right on the same images, and the drop from one to the other."""

    images: PositiveInt
    fp32_correct: NonNegativeInt
    int8_correct: NonNegativeInt
    worse: NonNegativeInt  # right in FP32, wrong in INT8
    better: NonNegativeInt  # wrong in FP32, right in INT8
    drop_points: float  # percentage points; negative when INT8 is better
    drop_interval: Interval  # Tango's score interval for paired proportions, percentage points
    mcnemar_p: float  # exact two-sided p of no difference

    @property
    def fp32(self) -> float:
        """Share of images FP32 got right."""
        return self.fp32_correct / self.images

    @property
    def int8(self) -> float:
        """Share of images INT8 got right."""
        return self.int8_correct / self.images

    @property
    def more_than_noise(self) -> bool:
        """Tell whether the change is shown: by the interval and by the exact test, which is the stricter."""
        low, high = self.drop_interval.low, self.drop_interval.high
        apart = low > 0 or (high is not None and high < 0)
        return apart and self.mcnemar_p < 1 - self.drop_interval.level

    @model_validator(mode="after")
    def _counts_agree(self) -> Self:
        if self.fp32_correct - self.int8_correct != self.worse - self.better:
            raise ValueError("fp32_correct - int8_correct must equal worse - better")
        return self


class ClassAccuracy(Record):
    """One class: its images and how many each network got right."""

    label: NonNegativeInt  # index into Subject.classes
    images: NonNegativeInt
    fp32_correct: NonNegativeInt
    int8_correct: NonNegativeInt
    worse: NonNegativeInt
    better: NonNegativeInt


class NegativeFlip(Record):
    """An image FP32 got right and INT8 gets wrong."""

    name: str
    label: NonNegativeInt
    int8_prediction: NonNegativeInt
    fp32_margin: float  # FP32 probability of the label minus that of what INT8 chose: large is alarming
    thumbnail_png: Base64 | None = None


class Accuracy(Record):
    """FP32 and INT8 on the same labelled images."""

    fp32_origin: Origin
    int8_origin: Origin
    top1: PairedRate
    top5: PairedRate | None  # None: with five classes or fewer it says nothing
    agreement: float  # share of images with the same top-1, right or wrong
    agreement_interval: Interval  # Wilson
    kl_nats: float  # mean KL(softmax FP32 || softmax INT8)
    sqnr_db: float | None  # 10 log10(sum fp32^2 / sum (fp32 - int8)^2) over all logits; None: identical
    per_class: tuple[ClassAccuracy, ...]
    confusion: tuple[
        tuple[int, int, int, int], ...
    ]  # (label, prediction, FP32 count, INT8 count), not both zero
    negative_flips: tuple[NegativeFlip, ...]  # largest FP32 margin first
    fp32_right: Base64  # one bit an image in evaluation order, the first the highest: is top-1 right?
    int8_right: Base64  # the same; lets a later build be compared with this one image by image

    @property
    def rates(self) -> tuple[tuple[str, PairedRate], ...]:
        """Return what a limit on the drop holds for, with its name."""
        return (("top-1", self.top1),)


class PairedScore(Record):
    """How well FP32 and INT8 did on the same images, in shares of each image, and the drop between them."""

    images: PositiveInt
    fp32: float  # mean over images of a share in [0, 1]
    int8: float
    drop_points: float  # percentage points; negative when INT8 is better
    drop_interval: Interval  # adjusted Wald's over images, percentage points
    change_sd: float  # standard deviation of the drop of an image, percentage points


class PixelClass(Record):
    """One class of pixels: how many have it, and intersection over union of what each network says."""

    label: NonNegativeInt  # index into Subject.classes
    pixels: NonNegativeInt
    fp32_iou: float | None  # None: no pixel has it, and none is said to
    int8_iou: float | None


class PixelPicture(Record):
    """An image that INT8 lost on, with the classes of its pixels in colours."""

    name: str
    fp32: float  # share of its pixels that are right
    int8: float
    image_png: Base64
    reference_png: Base64  # the labels; without any, the classes that FP32 gives
    int8_png: Base64


class PixelAccuracy(Record):
    """FP32 and INT8 on the pixels of the same images. The unit is the image: its pixels go together.

    Without labelled pixels the reference is what FP32 says. INT8's share of right pixels is then the share
    that has FP32's class, and its drop bounds the drop of any accuracy over pixels.
    """

    fp32_origin: Origin
    int8_origin: Origin
    labelled: bool
    size: tuple[PositiveInt, PositiveInt]  # height and width of the output
    pixels: PairedScore  # share of right pixels
    iou: PairedScore  # intersection over union, mean of the classes that an image has
    fp32_mean_iou: float  # of all images together, mean of the classes that are there
    int8_mean_iou: float
    agreement: float  # mean over images of the share of pixels with the same class, right or wrong
    sqnr_db: float | None  # 10 log10(sum fp32^2 / sum (fp32 - int8)^2) over all logits; None: identical
    per_class: tuple[PixelClass, ...]
    worst: tuple[PixelPicture, ...]  # the largest drop of right pixels first
    int8_scores: tuple[float, ...]  # share of right pixels of each image, in evaluation order

    @property
    def rates(self) -> tuple[tuple[str, PairedScore], ...]:
        """Return what a limit on the drop holds for, each with its name."""
        if not self.labelled:
            return (("pixels with FP32's class", self.pixels),)
        return (("right pixels", self.pixels), ("mean IoU of an image", self.iou))


def _kind(accuracy: object) -> str:
    pixels = "pixels" in accuracy if isinstance(accuracy, dict) else isinstance(accuracy, PixelAccuracy)
    return "of pixels" if pixels else "of images"


AnyAccuracy = Annotated[
    Annotated[Accuracy, Tag("of images")] | Annotated[PixelAccuracy, Tag("of pixels")], Discriminator(_kind)
]


class MachineState(Record):
    """What can slow a machine down, read just before or after measuring. Empty: not readable there."""

    governors: tuple[str, ...] = ()
    frequencies_mhz: tuple[float, ...] = ()  # one a core
    temperature_c: float | None = None  # the hottest sensor; None: not readable
    throttle_events: int | None = None  # counted by the kernel since boot; None: not readable
    load_average: float | None = None  # one minute; None: not readable
    cores: PositiveInt
    limits: tuple[str, ...] = ()  # what held the clocks down at that moment, such as "under-voltage"
    limits_since_boot: tuple[str, ...] = ()


class Quantile(Record):
    """A quantile of latency with its distribution-free (order statistic) interval."""

    ms: float
    interval: Interval  # ms


class Latency(Record):
    """Time from images in memory to logits in memory, after warm-up."""

    kind: Literal["measured"] = "measured"
    origin: Origin
    measured_at: AwareDatetime
    batch: PositiveInt
    threads: PositiveInt | None  # None: as the runner decides
    warmup_runs: NonNegativeInt
    warmup_stable: bool
    stopped: Literal["precise", "max_runs", "max_seconds"]  # why no more runs were made
    p50: Quantile
    p90: Quantile
    p99: Quantile
    throughput_per_s: float  # images a second, one after the other: batch / mean latency
    coefficient_of_variation: float  # standard deviation / mean
    effective_runs: float  # independent runs worth as much for the median as these autocorrelated ones
    outliers: NonNegativeInt  # further than three interquartile ranges above the upper quartile
    noisy: tuple[str, ...]  # reasons not to trust the figures; empty: none found
    before: MachineState
    after: MachineState
    runs_ns: tuple[int, ...]  # every run in the order measured


class SpeedRatio(Record):
    """How many times as long a second engine takes, from rounds in which both ran one after the other."""

    ratio: float
    interval: Interval
    rounds: int
    effective_rounds: float  # independent rounds that would say as much


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


class PeakMemory(Record):
    """Peak resident memory of a process that opened the engine and ran it."""

    kind: Literal["measured"] = "measured"
    origin: Origin
    peak_bytes: PositiveInt
    before_open_bytes: PositiveInt  # interpreter, NumPy and runner, before the engine was opened
    method: str  # how the peak was read


class Instructions(Record):
    """Instructions executed for one image on one thread: the same number every time, and no latency."""

    origin: Origin
    per_inference: PositiveInt
    machine: str  # what was emulated


MeasuredLatency = Annotated[Latency | NotMeasured, Field(discriminator="kind")]
MeasuredMemory = Annotated[PeakMemory | NotMeasured, Field(discriminator="kind")]


class Sizes(Record):
    """Sizes of the files, in bytes."""

    checkpoint: PositiveInt
    model: PositiveInt  # the float ONNX
    int8_model: PositiveInt  # the Q/DQ ONNX
    engine: PositiveInt | None  # None: it is built on the device, and stays there


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


class LayerSensitivity(Record):
    """What quantising one layer alone costs, and what is left when all but it are quantised."""

    layer: str
    sqnr_db: float  # of the logits with only this layer in INT8
    agreement: float  # share of images with the same top-1, then
    without_sqnr_db: float  # of the logits with every layer but this one in INT8


class TimedLayer(Record):
    """What one layer takes, run alone on one thread with warm caches."""

    layer: str
    int8: bool
    macs: NonNegativeInt
    microseconds: float


class LayerTimes(Record):
    """Where the time goes."""

    origin: Origin
    layers: tuple[TimedLayer, ...]

    @property
    def total(self) -> float:
        """Microseconds of all layers."""
        return sum(layer.microseconds for layer in self.layers)

    @property
    def int8_share(self) -> float:
        """The share of the time that integers take."""
        return sum(layer.microseconds for layer in self.layers if layer.int8) / self.total


class Coverage(Record):
    """How much of the network's work runs in INT8."""

    int8_macs: NonNegativeInt
    total_macs: PositiveInt
    float_layers: tuple[str, ...]
    times: LayerTimes | None = None  # where layers can be timed one by one


class FloatLayer(Record):
    """A layer left in floating point: why, and what that costs."""

    layer: str
    sqnr_db: float  # of the logits with only this layer in INT8
    saved_points: float  # by which the interval of the drop would end higher with it in INT8
    macs_share: float  # of the multiply-accumulates of one image


class MixedPrecision(Record):
    """Which layers were left in floating point so that the drop on tuning images stays within a limit."""

    max_drop_points: float
    precision: str  # of the layers in floating point: fp32 or fp16
    images: PositiveInt  # neither calibration nor evaluation images
    images_digest: Sha256  # Split.digest of them
    layers: tuple[FloatLayer, ...]  # the noisiest first
    drop: Interval  # percentage points of top-1, of what was chosen
    all_int8: Interval  # of every layer in INT8
    all_float: Interval  # of none; drop's if that was not needed
    passes: bool  # drop ends within the limit; if not, no layer was left in float


class ExtraLoss(Record):
    """How much more accuracy INT8 loses to corruption than FP32 does, from clean to corrupted images."""

    points: float  # drop FP32 to INT8 on corrupted images minus the drop on the same images clean
    interval: Interval  # percentage points
    p: float  # exact sign-flip test of no extra loss, two-sided


class CorruptedAccuracy(Record):
    """Accuracy under one camera corruption of one severity."""

    corruption: str
    severity: Annotated[int, Field(ge=1, le=5)]
    top1: PairedRate
    extra: ExtraLoss  # its interval holds for itself alone
    holm_p: float  # extra.p, corrected by Holm's method for all corruptions and severities together


class Robustness(Record):
    """FP32 and INT8 on the same images under camera corruptions, and on those images as they are."""

    fp32_origin: Origin
    int8_origin: Origin
    parameters: str  # whose table of severities: CIFAR-10-C or ImageNet-C
    seed: NonNegativeInt
    images_digest: Sha256  # Split.digest of the images
    clean: PairedRate
    fp32_loss_points: float  # of top-1, from clean to corrupted, mean of all corruptions and severities
    int8_loss_points: float
    extra: ExtraLoss  # of that mean
    by_corruption: tuple[tuple[str, ExtraLoss], ...]  # mean of its severities; intervals hold together
    corrupted: tuple[CorruptedAccuracy, ...]


class ToolchainCheck(Record):
    """What a toolchain said about the graph without the device."""

    name: str
    outcome: Literal["passed", "skipped"]
    message: str


class Machine(Record):
    """Where one of the two networks ran."""

    origin: Origin
    description: str  # the processor, module or emulator
    fingerprint: str  # the same with the tools and their versions: all that can change a figure


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
    checks: tuple[ToolchainCheck, ...] = ()

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
    """Return the verdict of all gates together: fail beats inconclusive beats pass."""
    verdicts = {gate.verdict for gate in gates}
    return next((v for v in (Verdict.FAIL, Verdict.INCONCLUSIVE) if v in verdicts), Verdict.PASS)
