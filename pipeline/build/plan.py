"""A build, from configuration to bundle: which stages there are, and what each one works on."""

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from time import perf_counter
from typing import assert_never

from calibration.recipe import QuantRecipe
from pipeline.build.request import AUTO, Request
from pipeline.build.shard import WHOLE, Shard
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store, writing
from pipeline.config import BuildConfig, recorded
from pipeline.data.open import training_digest
from pipeline.data.split import ShownNames
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.zoo import KnownModel
from pipeline.progress import Progress
from pipeline.report.plausibility import judged_to_know
from pipeline.report.sections.pixels import PixelAccuracy
from pipeline.stages.accuracy_files import AccuracyFiles
from pipeline.stages.adopt import Adopt
from pipeline.stages.adopt_quantised import UNROUNDED, AdoptQuantised
from pipeline.stages.answer import AnswerImages, UnitAnswers, all_skipped, units_of
from pipeline.stages.artifacts import (
    BroughtModel,
    ExportedModel,
    FloatModel,
    QuantizedModel,
    RangesFile,
    StageOutput,
)
from pipeline.stages.attribute import Attribute
from pipeline.stages.bring import Bring
from pipeline.stages.bundle import Bundle, PackedBundle
from pipeline.stages.calibrate import Calibrate
from pipeline.stages.checked_export import CheckedExport
from pipeline.stages.choose import Choose, ChosenRecipe
from pipeline.stages.choose_default import ChooseDefault
from pipeline.stages.compile import Compile, CompiledEngine
from pipeline.stages.corrupt import Corrupt
from pipeline.stages.diagnose import Diagnose
from pipeline.stages.export import Export
from pipeline.stages.measure_latency import NO_MEASUREMENTS, Measure, Measurements
from pipeline.stages.mix import Mix
from pipeline.stages.own_graph import OwnGraph
from pipeline.stages.peer import CALIBRATED_WITH, COMPARED_ON, Peer, QuantizeElsewhere
from pipeline.stages.prepare import Prepare
from pipeline.stages.quantize import Quantize, QuantizedNetwork
from pipeline.stages.refuse_leak import RefuseLeak, TrainingImages
from pipeline.stages.report import WriteReport
from pipeline.stages.report_files import ReportFiles, ReportPart
from pipeline.stages.sample import Samples, TakeSamples, sample_size
from pipeline.stages.study import Study, StudyFile
from pipeline.stages.time_pictures import TimePictures
from pipeline.stages.validate import Validate
from targets.base import BuildState, FitsPictures, LimitsWeights
from targets.registry import find_target

CHECK_IMAGES = 32
"""Evaluation images on which the exported model is compared with torch."""


@dataclass(frozen=True)
class StageRun:
    """How one stage ended: from the cache or run, and in what time."""

    stage: str
    cached: bool
    seconds: float
    damage: str = ""
    """What was wrong with the stored result, if the stage had to run again."""


class Build(Request):
    """One build. The request is checked when this is created; a product is made when its property is read.

    Each product reads the products that it is made from, so that reading the last one runs every stage.
    """

    def __init__(self, config: BuildConfig, progress: Progress) -> None:
        super().__init__(config, progress)
        self.steps: list[StageRun] = []
        self.used: list[Product] = []
        """The output of every step so far."""
        self.store = Store(self.kept)

    @cached_property
    def float_model(self) -> ExportedModel:
        """The float network as ONNX."""
        model, classes, checkpoint = self.model, self.classes, self.checkpoint
        images = self.evaluation.stratified(CHECK_IMAGES, seed=0)
        wanted = self.config.export
        if self.is_quantised and self.brought is not None:
            return ExportedModel(self.brought.product)
        checked = (classes, checkpoint, images, wanted.dynamic_batch, wanted.max_difference)
        stage: CheckedExport
        match model:
            case ForeignModel():
                stage = Adopt(*checked, model)
            case KnownModel():
                stage = Export(*checked, model, self.config.weights)
            case _:
                assert_never(model)
        return ExportedModel(self._make(stage))

    @cached_property
    def recipe(self) -> QuantRecipe:
        """The recipe: the one of the configuration, or with "auto" the best of several.

        Without one it is the target's own, or for a network not of our family what its operators ask for.
        """
        name = self.config.calibration.recipe
        if self.brought is not None:
            return self.brought.recipe
        if name is None and isinstance(self.model, ForeignModel):
            default = ChooseDefault(self.float_model, self.target.recipe)
            return ChosenRecipe(self._make(default)).recipe
        if name != AUTO:
            return QuantRecipe.parse(name) if name else self.target.recipe
        seconds = self.config.calibration.auto_seconds
        scheme = self.target.recipe.scheme
        choose = Choose(self.float_model, self.calibration_images, scheme, seconds)
        return ChosenRecipe(self._make(choose)).recipe

    @cached_property
    def brought(self) -> BroughtModel | None:
        """The quantised model, if the user brings one: as the model itself, or besides it."""
        scheme, shape = self.target.recipe.scheme, self.model.input_shape
        images = self.evaluation.stratified(CHECK_IMAGES, seed=0)
        path, batch = self.config.calibration.quantized, self.config.export.dynamic_batch
        lowest = self.target.lowest_weight if isinstance(self.target, LimitsWeights) else -128
        if self.is_quantised and isinstance(self.model, ForeignModel):
            adopt = AdoptQuantised(
                self.model, self.checkpoint, scheme, self.classes, images, batch, True, lowest
            )
            return BroughtModel(self._make(adopt))
        if path is None:
            return None
        from pipeline.models.foreign.external_data import input_onnx
        from pipeline.models.foreign.quantised.beside_float import described_by, is_ours

        quantized = input_onnx(path)
        if is_ours(path):
            return BroughtModel(self._make(Bring(quantized, scheme, shape, self.classes)))
        theirs = described_by(path, self.model)
        adopt = AdoptQuantised(theirs, quantized, scheme, self.classes, images, batch, False, lowest)
        return BroughtModel(self._make(adopt))

    @cached_property
    def prepared_model(self) -> FloatModel:
        """The float model that is quantised: rewritten if the recipe says so."""
        if not self.recipe.prepares:
            return self.float_model
        return FloatModel(self._make(Prepare(self.float_model, self.calibration_images, self.recipe)))

    @cached_property
    def ranges(self) -> RangesFile:
        """The range of each tensor on the calibration images."""
        return RangesFile(self._make(Calibrate(self.prepared_model, self.calibration_images, self.recipe)))

    @cached_property
    def quantized_model(self) -> QuantizedModel:
        """The quantised model with all layers in 8 bits."""
        images = self.calibration_images if self.recipe.needs_images else None
        return QuantizedModel(self._make(Quantize(self.prepared_model, self.ranges, self.recipe, images)))

    @cached_property
    def int8_model(self) -> QuantizedModel:
        """The quantised model that is compiled: with layers in float if `calibration.max_drop` needs it."""
        max_drop = self.config.calibration.max_drop
        if self.brought is not None:
            return self.brought
        if max_drop is None:
            return self.quantized_model
        tuning = self.seen(self.tuning)
        mix = Mix(self._quantized, tuning, max_drop, self.target.float_precision)
        return QuantizedModel(self._make(mix))

    @cached_property
    def engine(self) -> CompiledEngine:
        """The target's engine."""
        target = self.target
        models = self.float_model, self.int8_model
        toolchain = find_target(
            target.name
        ).fingerprint()  # without the device: all devices of a kind share one engine
        fitting = self.model.preprocessing if isinstance(target, FitsPictures) else None
        stage = Compile(*models, target.name, toolchain, target.engine_name, fitting)
        return CompiledEngine(
            self._make(stage), stage.file_name, target.name, target.fingerprint(), self.device
        )

    @cached_property
    def accuracy(self) -> AccuracyFiles:
        """How often FP32 and INT8 are right on the evaluation images."""
        return AccuracyFiles(self._make(Validate(self.engine, self.answers())))

    @cached_property
    def units(self) -> tuple[AnswerImages, ...]:
        """The units of a validation, in evaluation order."""
        return tuple(
            AnswerImages(self.float_model, self.engine, images, ShownNames(images.split), self.model.task)
            for images in units_of(self.seen(self.evaluation))
        )

    def answers(self, shard: Shard = WHOLE) -> tuple[UnitAnswers, ...]:
        """What FP32 and INT8 say about the evaluation images, or about a share of them.

        Raises DataError if training images are evaluated on, or too many images are damaged.
        """
        training = TrainingImages(self.dataset, training_digest(self.dataset, self.digests))
        self._make(RefuseLeak(training, self.evaluation))
        found: list[UnitAnswers] = []
        for number, unit in enumerate(self.units):
            if shard.holds(number):
                found.append(UnitAnswers(self._make(unit)))
                damaged = [(image.name, image.reason) for image in all_skipped(found)]
                self.evaluation.refuse_if_too_many(damaged)
        return tuple(found)

    @property
    def _own(self) -> OwnGraph:
        return OwnGraph(self.model, self.checkpoint, self.float_model, self.is_quantised)

    @cached_property
    def peer(self) -> Peer | None:
        """onnxruntime's own static INT8, if the target is this machine; None if it is not compared."""
        if not (self.config.latency.peer and self.target.runs_here) or self.is_quantised:
            return None
        calibration = self.seen(self.calibration.stratified(CALIBRATED_WITH, seed=0))
        compared = self.seen(self.evaluation.stratified(COMPARED_ON, seed=0))
        return Peer(self._make(QuantizeElsewhere(self._own, calibration, compared)))

    @cached_property
    def diagnosis(self) -> ReportPart | None:
        """Why FP32 does no better than guessing; None if it does better, or nothing says what is right."""
        found = self.accuracy.load()
        if isinstance(found, PixelAccuracy):
            tells = found.labelled
        else:
            tells = len(set(self.evaluation.labels.tolist())) > 1
        if not tells or judged_to_know(found):
            return None
        diagnose = Diagnose(self.model, self.checkpoint, self.config.weights, self.evaluation)
        return ReportPart(self._make(diagnose))

    @cached_property
    def measurements(self) -> Measurements:
        """Latency and memory of FP32 and, where it can run, of INT8; empty if there is no engine yet."""
        if self.target.state is BuildState.NOT_BUILT:
            return NO_MEASUREMENTS
        stage = Measure(
            float_model=self.float_model,
            own=self._own,
            engine=self.engine,
            peer=self.peer,
            images=self.seen(self.evaluation),
            settings=self.latency_settings,
            threads=self.config.latency.threads,
        )
        return Measurements(StageOutput(self._make(stage)))

    @cached_property
    def end_to_end(self) -> ReportPart | None:
        """What pictures take from their files on, if the target is this machine."""
        if not self.target.runs_here:
            return None
        latency = self.config.latency
        images = self.seen(self.evaluation)
        stage = TimePictures(self.engine, images, self.classes, latency.threads, latency.seconds)
        return ReportPart(self._make(stage))

    @cached_property
    def sensitivity(self) -> ReportPart | None:
        """What each layer costs, if asked for."""
        wanted = self.config.validation.sensitivity
        if not wanted:
            return None
        images = self.seen(self.evaluation.stratified(wanted, seed=0))
        return ReportPart(self._make(Attribute(self._quantized, images)))

    def study(self, draws: int) -> StudyFile:
        """How many calibration images are enough, by so many random draws of each number."""
        whole = self.seen(self.dataset.split("calibration"))
        subject = self.model.name, self.data_name, self.float_model, whole
        return StudyFile(self._make(Study(*subject, self.recipe, self.config.calibration.images, draws)))

    @cached_property
    def robustness(self) -> ReportPart | None:
        """Accuracy on corrupted images, if it is wanted."""
        wanted = self.config.validation.robustness
        if not wanted:
            return None
        return ReportPart(
            self._make(
                Corrupt(
                    float_model=self.float_model,
                    engine=self.engine,
                    images=self.seen(self.evaluation.stratified(wanted, seed=0)),
                    seed=0,
                )
            )
        )

    @cached_property
    def report(self) -> ReportFiles:
        """Everything that was measured."""
        return ReportFiles(self._make(self._report(self.measurements)))

    @cached_property
    def lasting_report(self) -> ReportFiles:
        """The same without latency and memory, which differ from run to run: what a bundle holds."""
        return ReportFiles(self._make(self._report(NO_MEASUREMENTS)))

    @cached_property
    def samples(self) -> Samples:
        """Evaluation images with the logits that they should give, for the device's self-test."""
        size = sample_size(self.model.preprocessing, self.model.task, self.classes, self.target.state)
        images = self.seen(self.evaluation.stratified(size, seed=0))
        return Samples(self._make(TakeSamples(self.float_model, self.engine, images)))

    @cached_property
    def bundle(self) -> PackedBundle:
        """<model>-<target>.edgec: everything that a device needs."""
        return PackedBundle(
            self._make(
                Bundle(
                    model=self.model.name,
                    engine=self.engine,
                    runner=self.target.runner,
                    report=self.lasting_report,
                    state=self.target.state,
                    shipped=self.target.shipped,
                    samples=self.samples,
                    classes=self.dataset.classes,
                    preprocessing=self.model.preprocessing,
                    settings=recorded(self.config, self.recipe.name),
                    signing_key=self.signing_key,
                )
            )
        )

    def _report(self, measurements: Measurements) -> WriteReport:
        return WriteReport(
            model=self.model.name,
            recipe=self.recipe,
            dataset=self.data_name,
            threads=self.config.latency.threads,
            limits=self.limits,
            evaluation=self.evaluation,
            names=ShownNames(self.evaluation),
            preprocessing=self.model.preprocessing,
            calibration=self.calibration,
            checkpoint=self.checkpoint,
            float_model=self.float_model,
            int8_model=self.int8_model,
            engine=self.engine,
            toolchain={package: version(package) for package in self.target.packages},
            accuracy=self.accuracy,
            peer=self.peer if measurements.written is not None else None,
            measurements=measurements,
            parts=self._parts(timed=measurements.written is not None),
            fp32_is=UNROUNDED if self.is_quantised else None,
        )

    def _parts(self, timed: bool) -> tuple[ReportPart, ...]:
        """Return what stages of their own measured of the report, with times or without."""
        found = (self.sensitivity, self.robustness, self.diagnosis, self.end_to_end if timed else None)
        return tuple(part for part in found if part is not None)

    @property
    def _quantized(self) -> QuantizedNetwork:
        return QuantizedNetwork(self.prepared_model, self.ranges, self.quantized_model, self.recipe)

    def _make(self, stage: Stage) -> Product:
        start = perf_counter()
        product = self.store.make(stage, self.progress)
        self.store.record(self.name, product)
        with writing(self.store.root):
            self.digests.save()
        self.used.append(product)
        self.steps.append(StageRun(stage.name, product.cached, perf_counter() - start, product.damage))
        return product
