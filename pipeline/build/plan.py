"""A build, from configuration to bundle: what is measured of its models, reported and packed."""

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version

from pipeline.build.compilation import Compilation
from pipeline.build.shard import Shard
from pipeline.cache.digest import InputFile
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.config import recorded
from pipeline.data.open import training_digest
from pipeline.data.split import ShownNames
from pipeline.progress import OneTask
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.plausibility import judged_to_know
from pipeline.stages.accuracy_files import AccuracyFiles
from pipeline.stages.adopt_quantised import UNROUNDED
from pipeline.stages.answer import AnswerImages, UnitAnswers, units_of
from pipeline.stages.artifacts import (
    StageOutput,
)
from pipeline.stages.attribute import ATTRIBUTE, Attribute, AttributeLayer, UnitAttributed
from pipeline.stages.bundle import Bundle, PackedBundle
from pipeline.stages.corrupt import AnswerCorrupted, Corrupt, UnitCorrupted
from pipeline.stages.diagnose import Diagnose
from pipeline.stages.measure_latency import NO_MEASUREMENTS, Measure, Measurements
from pipeline.stages.own_graph import OwnGraph
from pipeline.stages.peer import CALIBRATED_WITH, COMPARED_ON, Peer, QuantizeElsewhere
from pipeline.stages.read_power_modes import ReadPowerModes
from pipeline.stages.read_soak import ReadSoak
from pipeline.stages.refuse_leak import RefuseLeak, TrainingImages
from pipeline.stages.report import WriteReport
from pipeline.stages.report_files import ReportFiles, ReportPart
from pipeline.stages.sample import Samples, TakeSamples, sample_size
from pipeline.stages.study import Study, StudyFile
from pipeline.stages.time_pictures import TimePictures
from pipeline.stages.try_fp8 import IMAGES, TryFp8, has_fp8
from pipeline.stages.validate import Validate
from pipeline.task import Task
from targets.base import BuildState, HasCandidates
from targets.reach.kept_open import one_session

SEED = 0
"""Of the random noise in corrupted images."""


class Build(Compilation):
    """One build. Reading its report or its bundle runs every stage that this needs."""

    @cached_property
    def accuracy(self) -> AccuracyFiles:
        """How often FP32 and INT8 are right on the evaluation images."""
        return AccuracyFiles(self.make(Validate(self.engine, self.answers())))

    @cached_property
    def units(self) -> tuple[AnswerImages, ...]:
        """The units of a validation, in evaluation order."""
        return tuple(
            AnswerImages(self.float_model, self.engine, images, ShownNames(images.split), self.model.task)
            for images in units_of(self.seen(self.evaluation))
        )

    @property
    def all_units(self) -> tuple[Stage, ...]:
        """All that a validation can share out among machines."""
        return (*self.units, *self.robustness_units, *self.sensitivity_units)

    def compute(self, shard: Shard) -> tuple[Stage, ...]:
        """Compute a share of all units, and return it. Raises what `answers` does."""
        share = shard.share_of(self.all_units)
        self.answers([unit for unit in share if isinstance(unit, AnswerImages)])
        for unit in share:
            if not isinstance(unit, AnswerImages):
                self.make(unit)
        return tuple(share)

    def answers(self, some: Sequence[AnswerImages] | None = None) -> tuple[UnitAnswers, ...]:
        """What FP32 and INT8 say about the evaluation images, or about some units of them.

        Raises DataError if training images are evaluated on, or too many images are damaged.
        """
        self.share_digests()
        training = TrainingImages(self.dataset, training_digest(self.dataset, self.digests))
        self.make(RefuseLeak(training, self.evaluation))
        units = self.units if some is None else some
        found: list[UnitAnswers] = []
        damaged: list[tuple[str, str]] = []
        self.share_out(units, "validate", on_board=True)
        total = sum(len(unit.images) for unit in units)
        with one_session(), OneTask(self.progress, "validate", total) as progress:
            for unit in units:
                found.append(UnitAnswers(self._unit(unit, progress, len(unit.images))))
                damaged += [(image.name, image.reason) for image in found[-1].skipped()]
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
        return Peer(self.make(QuantizeElsewhere(self._own, calibration, compared)))

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
        return ReportPart(self.make(diagnose))

    @cached_property
    def measurements(self) -> Measurements:
        """Latency and memory of FP32 and, where it can run, of INT8; empty if there is no engine yet.

        A board is measured by the worker that reaches it. This machine is measured by this process.
        """
        if self.target.state is BuildState.NOT_BUILT:
            return NO_MEASUREMENTS
        stage = self.measurement
        if self.device is not None:
            self.share_out((stage,), "measure", on_board=True)
        return Measurements(StageOutput(self.make(stage)))

    @property
    def measurement(self) -> Measure:
        """The stage that measures latency and memory."""
        return Measure(
            float_model=self.float_model,
            own=self._own,
            engine=self.engine,
            peer=self.peer,
            images=self.seen(self.evaluation),
            settings=self.latency_settings,
            threads=self.config.latency.threads,
            samples=self.samples if isinstance(self.target, HasCandidates) else None,
            max_drop=self.limits.max_drop,
        )

    @cached_property
    def end_to_end(self) -> ReportPart | None:
        """The latency from a picture's file to its top-5, if the target is this machine."""
        if not self.target.runs_here:
            return None
        latency = self.config.latency
        images = self.seen(self.evaluation)
        stage = TimePictures(self.engine, images, self.classes, latency.threads, latency.seconds)
        return ReportPart(self.make(stage))

    @cached_property
    def sensitivity_units(self) -> tuple[AttributeLayer, ...]:
        """The units of the sensitivity, each layer on each unit of images; none if it is not asked for."""
        wanted = self.config.validation.sensitivity
        if not wanted:
            return ()
        from calibration.explore.sensitivity import layers_in_8_bits

        network = self.quantized_network
        layers = layers_in_8_bits(network.float_model.path, network.ranges.load(), network.recipe)
        return tuple(
            AttributeLayer(network, images, position, layer)
            for images in units_of(self.seen(self.evaluation.stratified(wanted, seed=0)))
            for position, layer in enumerate(layers)
        )

    @cached_property
    def sensitivity(self) -> ReportPart | None:
        """The sensitivity of each layer, if asked for."""
        units = self.sensitivity_units
        if not units:
            return None
        self.share_out(units, "attribute")
        with OneTask(self.progress, ATTRIBUTE, len(units)) as progress:
            found = tuple(UnitAttributed(self._unit(unit, progress, 1)) for unit in units)
        return ReportPart(self.make(Attribute(found)))

    def _unit(self, unit: Stage, progress: OneTask, count: int) -> Product:
        """Make a unit; `count` is how much of the task one that was there already is."""
        product = self.make(unit, progress)
        if product.cached:
            progress.skip(count)
        return product

    def study(self, draws: int) -> StudyFile:
        """How many calibration images are enough, by a number of random draws for each count."""
        whole = self.seen(self.dataset.split("calibration"))
        subject = self.model.name, self.data_name, self.float_model, whole
        return StudyFile(self.make(Study(*subject, self.recipe, self.config.calibration.images, draws)))

    @cached_property
    def robustness_units(self) -> tuple[AnswerCorrupted, ...]:
        """The units of corrupted images, in evaluation order; none if they are not wanted."""
        wanted = self.config.validation.robustness
        if not wanted:
            return ()
        images = self.seen(self.evaluation.stratified(wanted, seed=0))
        return tuple(AnswerCorrupted(self.float_model, self.engine, one, SEED) for one in units_of(images))

    @cached_property
    def robustness(self) -> ReportPart | None:
        """Accuracy on corrupted images, if it is wanted."""
        units = self.robustness_units
        if not units:
            return None
        self.share_out(units, "robustness", on_board=True)
        images = self.seen(self.evaluation.stratified(self.config.validation.robustness, seed=0))
        with OneTask(self.progress, "robustness", len(images)) as progress:
            found = tuple(UnitCorrupted(self._unit(unit, progress, len(unit.images))) for unit in units)
        return ReportPart(self.make(Corrupt(self.engine, images, found, SEED)))

    @cached_property
    def fp8(self) -> ReportPart | None:
        """FP8 beside INT8, if the target has a form in it and images have one class each."""
        if self.model.task is not Task.CLASSIFY or not has_fp8(self.engine):
            return None
        images = self.seen(self.evaluation.stratified(IMAGES, seed=0))
        return ReportPart(self.make(TryFp8(self.float_model, self.engine, images)))

    @cached_property
    def sustained(self) -> ReportPart | None:
        """The result of a soak on the device, if its record is given."""
        record = self.config.soak
        if record is None:
            return None
        return ReportPart(self.make(ReadSoak(InputFile(record, record.name), self.engine)))

    @cached_property
    def power_modes(self) -> ReportPart | None:
        """What a Jetson sustained in each power mode, if its record is given."""
        record = self.config.power_modes
        if record is None:
            return None
        return ReportPart(self.make(ReadPowerModes(InputFile(record, record.name), self.engine)))

    @cached_property
    def report(self) -> ReportFiles:
        """Everything that was measured."""
        return ReportFiles(self.make(self._report(self.measurements)))

    @cached_property
    def lasting_report(self) -> ReportFiles:
        """The same without latency and memory, which differ from run to run: what a bundle holds."""
        return ReportFiles(self.make(self._report(NO_MEASUREMENTS)))

    @cached_property
    def samples(self) -> Samples:
        """Evaluation images with the logits that they should give, for the device's self-test."""
        size = sample_size(self.model.preprocessing, self.model.task, self.classes, self.target.state)
        images = self.seen(self.evaluation.stratified(size, seed=0))
        return Samples(self.make(TakeSamples(self.float_model, self.engine, images)))

    @cached_property
    def bundle(self) -> PackedBundle:
        """<model>-<target>.edgec: everything that a device needs."""
        return PackedBundle(
            self.make(
                Bundle(
                    model=self.model.name,
                    engine=self.engine,
                    runner=self.target.runner,
                    engine_kind=self.target.engine_kind,
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
        """Return the parts of the report that stages of their own measure, with or without times."""
        times = (self.end_to_end, self.sustained, self.power_modes) if timed else ()
        found = (self.sensitivity, self.robustness, self.fp8, self.diagnosis, *times)
        return tuple(part for part in found if part is not None)
