"""What was measured, and what it was measured on -> report.json and report.html."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, ClassVar

from pydantic import TypeAdapter

from calibration.recipe import QuantRecipe
from pipeline.cache.digest import InputFile
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.data.split import Split
from pipeline.progress import Progress
from pipeline.report.fitting import fitting
from pipeline.report.from_measurement import latency_of, memory_of
from pipeline.report.limits import GateLimits
from pipeline.report.model.build_report import AnyAccuracy, Report
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.model.gate import overall
from pipeline.report.portability import sixteen_bit_sums
from pipeline.report.race import Race
from pipeline.report.recommend import recommend
from pipeline.report.sections.accuracy import Accuracy
from pipeline.report.sections.int8_coverage import Coverage, LayerTimes, MixedPrecision, slowest_in_float
from pipeline.report.sections.latency import Instructions, MeasuredLatency
from pipeline.report.sections.pixels import PixelAccuracy
from pipeline.report.sections.provenance import Machine, Subject
from pipeline.report.sections.recommendation import Recommendation
from pipeline.report.sections.sizes import MeasuredMemory, Sizes
from pipeline.report.sections.toolchain_checks import ToolchainCheck
from pipeline.report.speed import speed_ratio
from pipeline.stages.adopt_quantised import notes_of
from pipeline.stages.compared import Compared
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.measure_latency import INT8, OWN, PIXELS, RACE, Measurements
from pipeline.stages.peer import Peer
from pipeline.stages.validate import ACCURACY, ACCURACY_FP16, SkippedImages
from targets.base import BuildState, NamesFloatLayers, Origin
from targets.reference import ReferenceTarget
from targets.runtime.measure import Measurement
from targets.runtime.preprocess import Preprocessing

TOOLS = ("edgec", "torch", "safetensors", "onnx", "onnxruntime", "numpy", "scipy", "opencv-python")
"""What all targets have in common. Toolchains name their own."""
EitherAccuracy: TypeAdapter[Accuracy | PixelAccuracy] = TypeAdapter(AnyAccuracy)
OUTSIDE = NotMeasured(
    reason="a bundle holds nothing that differs from build to build; the report beside it has this figure"
)
"""In place of what a clock or the memory of a process says."""
NOTHING_SHIPS = NotMeasured(reason="the reference judges accuracy, with settings that are exact and not fast")
CAME_QUANTISED = NotMeasured(reason="the network came quantised; the float one is not known")
NO_FLOAT_THERE = NotMeasured(reason="the float network does not run where the engine does")


def read_accuracy(path: Path) -> Accuracy | PixelAccuracy:
    """Read what `Validate` wrote."""
    return EitherAccuracy.validate_json(path.read_text())


@dataclass(frozen=True)
class WriteReport(Stage):
    """Judge the figures by the gates and write everything down."""

    name: ClassVar[str] = "report"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    model: str
    recipe: QuantRecipe
    dataset: str
    threads: int
    limits: GateLimits
    evaluation: Split
    preprocessing: Preprocessing
    calibration: Split
    checkpoint: InputFile
    float_model: Product
    int8_model: Product
    engine: CompiledEngine
    toolchain: dict[str, str]
    """The versions of its packages."""
    accuracy: Product
    peer: Peer | None
    measurements: Product | None
    """None leaves out what is not the same every time it is measured: latency and memory."""
    parts: tuple[Product, ...]
    """Of stages that each measure a field of report.json: a JSON file called like that field."""
    fp32_is: str | None = None
    """What stands for FP32, where no float network is known."""

    def run(self, output: Path, progress: Progress) -> None:
        """Write report.json and report.html."""
        from pipeline.report.html import render_html

        with progress.task("report", None):
            report = self._report()
            report.save(output / "report.json")
            (output / "report.html").write_text(render_html(report), encoding="utf-8")

    def _report(self) -> Report:
        accuracy = self._accuracy(ACCURACY)
        origin = self.engine.where.origin
        fp32, int8 = self._measured.runs(PIXELS), self._measured.runs(INT8)
        compared = Compared(self._measured, self.peer, origin, self.threads)
        latency_int8, memory_int8 = self._latency(int8, origin), self._memory(int8, origin)
        race = self._race(compared, origin)
        gates = tuple(self.limits.judge(accuracy, latency_int8, origin, race))
        return Report(
            verdict=overall(gates),
            subject=self._subject(),
            gates=gates,
            accuracy=accuracy,
            latency_fp32=CAME_QUANTISED
            if compared.came_quantised
            else self._latency(compared.baseline, ReferenceTarget.origin),
            latency_int8=latency_int8,
            speed=compared.speed(compared.baseline),
            fitting=fitting(self.evaluation, self.preprocessing),
            compared=compared.rows() if fp32 or compared.came_quantised else (),
            no_peer=compared.no_peer() if fp32 or compared.came_quantised else None,
            recommendation=self._recommendation(accuracy, origin),
            instructions_int8=self._instructions(origin),
            memory_fp32=CAME_QUANTISED
            if compared.came_quantised
            else self._memory(fp32, ReferenceTarget.origin),
            memory_int8=memory_int8,
            sizes=self._sizes(),
            machines=self._machines(origin),
            coverage=self._coverage(),
            mixed=self._mixed(),
            tools={"python": python_version(), **{tool: version(tool) for tool in TOOLS}, **self.toolchain},
            state=self._state,
            checks=tuple(self._checks()),
            fp32_is=self.fp32_is,
            **dict(self._parts()),
        )

    def _accuracy(self, name: str) -> Accuracy | PixelAccuracy:
        return read_accuracy(self.accuracy.file(name))

    def _recommendation(self, accuracy: Accuracy | PixelAccuracy, origin: Origin) -> Recommendation | None:
        int8, fp16 = self._measured.runs("int8"), self._measured.runs("fp16")
        if not int8 or not fp16 or ACCURACY_FP16 not in self.accuracy.digests:
            return None
        fp16_accuracy = self._accuracy(ACCURACY_FP16)
        int8_gates, fp16_gates = (
            tuple(self.limits.judge_accuracy(one, origin)) for one in (accuracy, fp16_accuracy)
        )
        rate = fp16_accuracy.rates[0][1]
        return recommend(int8_gates, fp16_gates, rate, speed_ratio(fp16[0], int8[0]))

    def _latency(self, measured: list[Measurement], origin: Origin) -> MeasuredLatency:
        return latency_of(measured[0], origin, self.threads) if measured else self._not_measured()

    def _race(self, compared: Compared, origin: Origin) -> Race | NotMeasured:
        """Return INT8 against what would run without it: FP32 here, FP16 on a device that has it."""
        if self.engine.target == ReferenceTarget.name:
            return NOTHING_SHIPS
        int8, fp16 = self._measured.runs(INT8), self._measured.runs("fp16")
        layers = self._measured.layers()
        if compared.came_quantised:
            speed = compared.speed(self._measured.runs(OWN))
            return CAME_QUANTISED if speed is None else Race("it is as it came", speed, origin, layers)
        if int8 and fp16:
            return Race("FP16", speed_ratio(fp16[0], int8[0]), origin, layers)
        raced = self._measured.runs(RACE)
        if raced:
            return Race("FP32", speed_ratio(raced[0], raced[1]), origin, layers)
        speed = compared.speed(compared.baseline)
        if speed is not None:
            return Race("FP32", speed, origin, layers)
        missing = self._latency(int8, origin)
        return missing if isinstance(missing, NotMeasured) else NO_FLOAT_THERE

    def _memory(self, measured: list[Measurement], origin: Origin) -> MeasuredMemory:
        if not measured:
            return self._not_measured()
        if measured[1].memory is None:
            return NotMeasured(reason="this system does not tell a process its peak memory")
        return memory_of(measured[1].memory, origin)

    def _coverage(self) -> Coverage:
        from calibration.coverage import coverage

        found = coverage(self.int8_model.file("model.int8.onnx"))
        target, times = self.engine.where, self._layer_times()
        in_float = found.float_layers
        if times is not None:
            in_float = slowest_in_float(times)
        elif isinstance(target, NamesFloatLayers):
            in_float = target.float_layers(self.engine.path)
        return Coverage(
            int8_macs=found.int8_macs, total_macs=found.total_macs, float_layers=in_float, times=times
        )

    def _layer_times(self) -> LayerTimes | None:
        layers = self._measured.layers()
        return LayerTimes(origin=self.engine.where.origin, layers=layers) if layers else None

    def _mixed(self) -> MixedPrecision | None:
        if "mixed.json" not in self.int8_model.digests:
            return None
        return MixedPrecision.model_validate_json(self.int8_model.file("mixed.json").read_text())

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """Yield what other stages measured, each with its field."""
        for part in self.parts:
            for file in part.digests:
                field = Path(file).stem
                kind = TypeAdapter(Report.model_fields[field].rebuild_annotation())
                yield field, kind.validate_json(part.file(file).read_bytes())

    def _instructions(self, origin: Origin) -> Instructions | None:
        counted = self._measured.instructions()
        if counted is None:
            return None
        return Instructions(origin=origin, per_inference=counted, machine=self.engine.fingerprint)

    def _checks(self) -> Iterator[ToolchainCheck]:
        yield from notes_of(self.int8_model)
        yield from (ToolchainCheck(**asdict(check)) for check in self.engine.checks)
        yield sixteen_bit_sums(self.int8_model.file("model.int8.onnx"))
        yield from self._measured.findings()

    @property
    def _measured(self) -> Measurements:
        return Measurements(self.measurements)

    @property
    def _state(self) -> BuildState:
        return self.engine.where.state

    def _not_measured(self) -> NotMeasured:
        if self._state is BuildState.NOT_BUILT:
            return NotMeasured(reason=f"{BuildState.NOT_BUILT}: the engine is built there, and timed there")
        if self.measurements is None:
            return OUTSIDE
        return NotMeasured(reason=f"{self.engine.target} is not this machine, and no device was given")

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
            checkpoint=self.checkpoint.size,
            model=self.float_model.file("model.onnx").stat().st_size,
            int8_model=self.int8_model.file("model.int8.onnx").stat().st_size,
            engine=self.engine.path.stat().st_size if self._state is BuildState.BUILT else None,
        )

    def _machines(self, origin: Origin) -> tuple[Machine, Machine]:
        """Describe what ran FP32, and what ran the engine."""
        reference, device = ReferenceTarget(), self.engine.where.device()
        return (
            Machine(
                origin=reference.origin, description=reference.device(), fingerprint=reference.fingerprint()
            ),
            Machine(origin=origin, description=device, fingerprint=self.engine.fingerprint),
        )
