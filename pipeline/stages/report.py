"""All measurements, with the machines and inputs that they are of -> report.json and report.html."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from platform import python_version
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage, installed
from pipeline.data.split import ShownNames, Split
from pipeline.progress import Progress
from pipeline.report.fitting import fitting
from pipeline.report.from_measurement import latency_of, memory_of
from pipeline.report.left_to_gain import left_to_gain
from pipeline.report.limits import GateLimits
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.model.float_layers import Coverage, LayerTimes, slowest_in_float
from pipeline.report.model.gate import overall
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.measured_latency import Instructions, MeasuredLatency
from pipeline.report.model.measured_sizes import MeasuredMemory, Sizes
from pipeline.report.model.picture_latency import EndToEnd
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.model.subject import Machine, Subject
from pipeline.report.model.toolchain_check import ToolchainCheck
from pipeline.report.omissions import omissions
from pipeline.report.portability import sixteen_bit_sums
from pipeline.report.race import Race
from pipeline.report.recommend import recommend
from pipeline.report.sections.recommendation import Recommendation
from pipeline.report.speed import speed_ratio
from pipeline.report.sustained_gate import sustained_gates
from pipeline.report.wide_words import sixteen_bits
from pipeline.stages.accuracy_files import AccuracyFiles
from pipeline.stages.adopt_quantised import notes_of
from pipeline.stages.artifacts import FloatModel, QuantizedModel
from pipeline.stages.compared import Compared
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.measure_latency import INT8, OWN, PIXELS, RACE, Measurements
from pipeline.stages.mix import mixed_precision
from pipeline.stages.peer import Peer
from pipeline.stages.report_files import ReportFiles, ReportPart
from targets.base import BuildState, NamesFloatLayers, Origin
from targets.reference import ReferenceTarget
from targets.runtime.measure import Measurement
from targets.runtime.preprocess import Preprocessing

TOOLS = ("edgec", "torch", "safetensors", "onnx", "onnxruntime", "numpy", "scipy", "opencv-python")
"""The tools of every target. Toolchains name further ones."""
OF_TRAINING = ("torch", "safetensors")
"""Tools that a build from ONNX does not need."""
OUTSIDE = NotMeasured(
    reason="a bundle holds nothing that differs from build to build; the report beside it has this figure"
)
"""Stands for latency and memory."""
NOTHING_SHIPS = NotMeasured(reason="the reference judges accuracy, with settings that are exact and not fast")
CAME_QUANTISED = NotMeasured(reason="the network came quantised; the float one is not known")
AS_IT_CAME = "the file as it came, in onnxruntime"
NO_FLOAT_THERE = NotMeasured(reason="the float network does not run where the engine does")


@dataclass(frozen=True)
class WriteReport(Stage):
    """Judge the figures by the gates and write the report."""

    name: ClassVar[str] = "report"
    tools: ClassVar[tuple[str, ...]] = tuple(tool for tool in TOOLS if tool not in OF_TRAINING)
    optional_tools: ClassVar[tuple[str, ...]] = OF_TRAINING

    model: str
    recipe: QuantRecipe
    dataset: str
    threads: int
    limits: GateLimits
    evaluation: Split
    names: ShownNames
    preprocessing: Preprocessing
    calibration: Split
    checkpoint: InputFile
    float_model: FloatModel
    int8_model: QuantizedModel
    engine: CompiledEngine
    toolchain: dict[str, str]
    """The versions of its packages."""
    accuracy: AccuracyFiles
    peer: Peer | None
    measurements: Measurements
    """Empty where the report leaves out what differs from run to run: latency and memory."""
    parts: tuple[ReportPart, ...]
    """Fields of the report that other stages measured."""
    fp32_is: str | None = None
    """What is compared with instead of FP32, if no float network is known."""

    def run(self, output: Path, progress: Progress) -> None:
        """Write report.json and report.html."""
        from pipeline.report.pages.report_page import render_html

        with progress.task("report", None):
            report = self._report()
            report.save(output / ReportFiles.file_name)
            (output / ReportFiles.page).write_text(render_html(report), encoding="utf-8")

    def _report(self) -> Report:
        accuracy = self.accuracy.load()
        origin = self.engine.target.origin
        fp32, int8 = self.measurements.runs(PIXELS), self.measurements.runs(INT8)
        compared = Compared(self.measurements, self.peer, origin, self.threads)
        latency_int8, memory_int8 = self._latency(int8, origin), self._memory(int8, origin)
        race = self._race(compared, origin)
        parts = {part.field: part.load() for part in self.parts}
        timed = parts.get("end_to_end")
        whole = timed if isinstance(timed, EndToEnd) else None
        where = origin if self.engine.target.runs_here else Origin.DEVICE
        soaked = sustained_gates(self.limits.sustained_p90_ms, parts.get("sustained"), where)
        gates = (*self.limits.judge(accuracy, latency_int8, whole, origin, race), *soaked)
        return Report(
            verdict=overall(gates),
            subject=self._subject(),
            gates=gates,
            accuracy=accuracy,
            latency_fp32=self._float_latency(compared.baseline),
            latency_int8=latency_int8,
            speed=compared.speed(compared.baseline),
            fitting=fitting(self.evaluation, self.preprocessing),
            compared=compared.rows() if fp32 or compared.came_quantised else (),
            no_peer=compared.no_peer() if fp32 or compared.came_quantised else None,
            recommendation=self._recommendation(accuracy, origin),
            candidates=self.measurements.candidates(),
            instructions_int8=self._instructions(origin),
            memory_fp32=self._memory(fp32, ReferenceTarget.origin) if fp32 else self._no_float(),
            memory_int8=memory_int8,
            sizes=self._sizes(),
            machines=self._machines(origin),
            coverage=self._coverage(),
            mixed=mixed_precision(self.int8_model),
            tools={"python": python_version(), **installed(TOOLS), **self.toolchain},
            state=self._state,
            checks=tuple(self._checks(accuracy)),
            fp32_is=self.fp32_is,
            **parts,
        )

    def _recommendation(self, accuracy: Accuracy | PixelAccuracy, origin: Origin) -> Recommendation | None:
        int8, fp16 = self.measurements.runs("int8"), self.measurements.runs("fp16")
        fp16_accuracy = self.accuracy.load_fp16()
        if not int8 or not fp16 or fp16_accuracy is None:
            return None
        int8_gates, fp16_gates = (
            tuple(self.limits.judge_accuracy(one, origin)) for one in (accuracy, fp16_accuracy)
        )
        rate = fp16_accuracy.rates[0][1]
        return recommend(int8_gates, fp16_gates, rate, speed_ratio(fp16[0], int8[0]))

    def _latency(self, measured: list[Measurement], origin: Origin) -> MeasuredLatency:
        return latency_of(measured[0], origin, self.threads) if measured else self._not_measured()

    def _float_latency(self, measured: list[Measurement]) -> MeasuredLatency:
        there_is = bool(measured) and self.fp32_is is None
        return self._latency(measured, ReferenceTarget.origin) if there_is else self._no_float()

    def _no_float(self) -> NotMeasured:
        """Say why the float network was not timed: it is where the engine runs, or nowhere."""
        if self.measurements.written is None:
            return self._not_measured()
        if self.fp32_is is not None:
            return CAME_QUANTISED
        return NotMeasured(
            reason=f"the float network runs on the build machine, which is not {self.engine.target_name}"
        )

    def _race(self, compared: Compared, origin: Origin) -> Race | NotMeasured:
        """Return INT8's speed against that of FP32, or on a device with FP16 against FP16."""
        if self.engine.target_name == ReferenceTarget.name:
            return NOTHING_SHIPS
        int8, fp16 = self.measurements.runs(INT8), self.measurements.runs("fp16")
        layers = self.measurements.layers()
        if compared.came_quantised:
            speed = compared.speed(self.measurements.runs(OWN))
            return CAME_QUANTISED if speed is None else Race(AS_IT_CAME, speed, origin, layers)
        if int8 and fp16:
            return Race("FP16", speed_ratio(fp16[0], int8[0]), origin, layers)
        raced = self.measurements.runs(RACE)
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
            return NotMeasured(reason="this system does not report a process's peak memory")
        return memory_of(measured[1].memory, origin)

    def _coverage(self) -> Coverage:
        from calibration.coverage import coverage

        found = coverage(self.int8_model.path)
        target, times = self.engine.target, self._layer_times()
        in_float = found.float_layers
        if times is not None:
            in_float = slowest_in_float(times)
        elif isinstance(target, NamesFloatLayers):
            in_float = target.float_layers(self.engine.path)
        return Coverage(
            int8_macs=found.int8_macs, total_macs=found.total_macs, float_layers=in_float, times=times
        )

    def _layer_times(self) -> LayerTimes | None:
        layers = self.measurements.layers()
        return LayerTimes(origin=self.engine.target.origin, layers=layers) if layers else None

    def _instructions(self, origin: Origin) -> Instructions | None:
        counted = self.measurements.instructions()
        if counted is None:
            return None
        return Instructions(origin=origin, per_inference=counted, machine=self.engine.fingerprint)

    def _checks(self, accuracy: Accuracy | PixelAccuracy) -> Iterator[ToolchainCheck]:
        yield from notes_of(self.int8_model)
        yield from omissions(self.int8_model.path)
        yield from sixteen_bits(self.int8_model.path)
        if self.fp32_is is None:
            yield from left_to_gain(accuracy, self.recipe)
        yield from (ToolchainCheck(**asdict(check)) for check in self.engine.checks)
        yield sixteen_bit_sums(self.int8_model.path)
        yield from self.measurements.findings()

    @property
    def _state(self) -> BuildState:
        return self.engine.target.state

    def _not_measured(self) -> NotMeasured:
        if self._state is BuildState.NOT_BUILT:
            return NotMeasured(reason=f"{BuildState.NOT_BUILT}: the engine is built there, and timed there")
        if self.measurements.written is None:
            return OUTSIDE
        return NotMeasured(reason=f"{self.engine.target_name} is not this machine, and no device was given")

    def _subject(self) -> Subject:
        return Subject(
            model=self.model,
            target=self.engine.target_name,
            recipe=self.recipe.name,
            dataset=self.dataset,
            classes=self.evaluation.classes,
            checkpoint_digest=self.checkpoint.digest,
            model_digest=self.float_model.file_digest,
            int8_model_digest=self.int8_model.file_digest,
            engine_digest=self.engine.file_digest,
            evaluation_digest=self.evaluation.digest,
            calibration_digest=self.calibration.digest,
            evaluation_images=len(self.evaluation),
            calibration_images=len(self.calibration),
            skipped_images=self.accuracy.skipped(),
        )

    def _sizes(self) -> Sizes:
        return Sizes(
            checkpoint=self.checkpoint.size,
            model=self.float_model.path.stat().st_size,
            int8_model=self.int8_model.path.stat().st_size,
            engine=self.engine.path.stat().st_size if self._state is BuildState.BUILT else None,
        )

    def _machines(self, origin: Origin) -> tuple[Machine, Machine]:
        """Describe the machine that ran FP32 and the one that ran the engine."""
        reference, device = ReferenceTarget(), self.engine.target.device()
        return (
            Machine(
                origin=reference.origin, description=reference.device(), fingerprint=reference.fingerprint()
            ),
            Machine(origin=origin, description=device, fingerprint=self.engine.fingerprint),
        )
