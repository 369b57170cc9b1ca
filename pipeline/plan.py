"""A build, from configuration to bundle: which stages there are, and what each one works on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter

from calibration.recipe import QuantRecipe
from pipeline.brought import check_brought
from pipeline.config import BuildConfig, recorded
from pipeline.data.dataset import Dataset
from pipeline.data.left_over import left_over
from pipeline.data.masks import open_for_segmentation
from pipeline.data.open import NAMED, open_dataset
from pipeline.data.relabel import relabelled
from pipeline.data.split import Split
from pipeline.digest import InputFile, RememberedDigests
from pipeline.errors import DataError, UsageError
from pipeline.known_devices import find_device
from pipeline.models.foreign import ForeignModel, is_foreign, read_foreign
from pipeline.models.zoo import KnownModel, find_model, find_weights
from pipeline.progress import Progress
from pipeline.signing import public_half
from pipeline.stage import Stage
from pipeline.stages.adopt import Adopt
from pipeline.stages.attribute import Attribute
from pipeline.stages.bring import Bring, brought_recipe
from pipeline.stages.bundle import Bundle
from pipeline.stages.calibrate import Calibrate, CalibrationImages
from pipeline.stages.choose import Choose, chosen
from pipeline.stages.compile import Compile, Engine
from pipeline.stages.export import Export
from pipeline.stages.measure import Measure
from pipeline.stages.mix import Mix
from pipeline.stages.prepare import Prepare
from pipeline.stages.quantize import Quantize, Quantized
from pipeline.stages.report import GateLimits, WriteReport
from pipeline.stages.robustness import Robustness
from pipeline.stages.sample import Sample, sample_size
from pipeline.stages.study import Study
from pipeline.stages.validate import TrainingImages, Validate
from pipeline.store import Product, Store, writing
from pipeline.task import Task
from targets.base import BuildState, Target
from targets.registry import find_target
from targets.runtime.measure import Settings

AUTO = "auto"
CHECK_IMAGES = 32
"""Evaluation images on which the exported model is compared with torch."""


@dataclass(frozen=True)
class Step:
    """What became of one stage."""

    stage: str
    cached: bool
    seconds: float


class Build:
    """One build: names, files and settings are checked when it is created, a product is made when asked for.

    Each product asks for the ones it is made from, so asking for the last runs every stage in order.
    """

    def __init__(self, config: BuildConfig, progress: Progress) -> None:
        self.config = config
        self.progress = progress
        self.steps: list[Step] = []
        self.model: KnownModel | ForeignModel = _find(config)
        self.device = None if config.device is None else str(find_device(config.device))
        self.model.task.check(config)
        self.target: Target = find_target(config.target, self.device)
        if config.calibration.recipe not in (None, AUTO):
            QuantRecipe.parse(config.calibration.recipe)  # a wrong name is an error before any work
        check_brought(config)
        self.target.check()
        weights = (
            self.model.path
            if isinstance(self.model, ForeignModel)
            else find_weights(self.model, config.checkpoint, config.data)
        )
        self.store = Store(config.out / "store")
        self.digests = RememberedDigests(self.store.root / "digests.json")
        self.checkpoint = InputFile(weights, self.digests(weights))
        key = config.signing_key
        self.signing_key = None if key is None else InputFile(key, public_half(key).name)
        self.dataset = self._dataset()
        self.classes = self.model.classes_for(len(self.dataset.classes))

    @property
    def name(self) -> str:
        """What the results are called."""
        return f"{self.model.name}-{self.target.name}"

    @cached_property
    def evaluation(self) -> Split:
        """The images that accuracy is stated for."""
        whole, wanted = self.dataset.split("evaluation"), self.config.validation.images
        return whole.stratified(wanted, seed=0) if wanted else whole

    @cached_property
    def calibration(self) -> Split:
        """The images that ranges are found from, none of them an evaluation image."""
        settings = self.config.calibration
        split = self.dataset.split("calibration").stratified(settings.images, settings.seed)
        if len(split) < settings.images:
            self.progress.say(f"calibrate: only {len(split)} images, {settings.images} were asked for")
        return split

    @cached_property
    def tuning(self) -> Split:
        """Labelled images that are neither calibrated with nor evaluated on, for `calibration.max_drop`."""
        rest = left_over(self.dataset, self.calibration)
        return rest.stratified(self.config.calibration.tuning_images, self.config.calibration.seed)

    @property
    def latency_settings(self) -> Settings:
        """How latency is measured."""
        wanted = self.config.latency
        return Settings(wanted.batch, wanted.precision, max_seconds=wanted.seconds)

    @cached_property
    def float_model(self) -> Product:
        """model.onnx."""
        model, classes, checkpoint = self.model, self.classes, self.checkpoint
        images = self.evaluation.stratified(CHECK_IMAGES, seed=0)
        wanted = self.config.export
        if isinstance(model, ForeignModel):
            return self._make(
                Adopt(model, classes, checkpoint, images, wanted.dynamic_batch, wanted.max_difference)
            )
        return self._make(
            Export(model, classes, checkpoint, images, wanted.dynamic_batch, wanted.max_difference)
        )

    @cached_property
    def calibration_images(self) -> CalibrationImages:
        """The calibration images as the model sees them."""
        return CalibrationImages(self.calibration, self.model.preprocessing)

    @cached_property
    def recipe(self) -> QuantRecipe:
        """How to quantise: as asked for, as the target prefers, or as trying shows to be best."""
        name = self.config.calibration.recipe
        if self.brought is not None:
            return brought_recipe(self.brought)
        if name != AUTO:
            return QuantRecipe.parse(name) if name else self.target.recipe
        seconds = self.config.calibration.auto_seconds
        scheme = self.target.recipe.scheme
        return chosen(self._make(Choose(self.float_model, self.calibration_images, scheme, seconds)))

    @cached_property
    def brought(self) -> Product | None:
        """model.int8.onnx, if the user brings one."""
        path = self.config.calibration.quantized
        if path is None:
            return None
        quantized = InputFile(path, self.digests(path))
        scheme, shape = self.target.recipe.scheme, self.model.input_shape
        return self._make(Bring(quantized, scheme, shape, self.classes))

    @cached_property
    def prepared_model(self) -> Product:
        """The float model that is quantised: rewritten if the recipe says so."""
        if not self.recipe.prepares:
            return self.float_model
        return self._make(Prepare(self.float_model, self.calibration_images, self.recipe))

    @cached_property
    def ranges(self) -> Product:
        """ranges.json."""
        return self._make(Calibrate(self.prepared_model, self.calibration_images, self.recipe))

    @cached_property
    def quantized_model(self) -> Product:
        """model.int8.onnx with all layers in 8 bits."""
        images = self.calibration_images if self.recipe.needs_images else None
        return self._make(Quantize(self.prepared_model, self.ranges, self.recipe, images))

    @cached_property
    def int8_model(self) -> Product:
        """model.int8.onnx as it is compiled, with layers left in float if `calibration.max_drop` needs it."""
        max_drop = self.config.calibration.max_drop
        if self.brought is not None:
            return self.brought
        if max_drop is None:
            return self.quantized_model
        tuning = CalibrationImages(self.tuning, self.model.preprocessing)
        return self._make(Mix(self._quantized, tuning, max_drop, self.target.float_precision))

    @cached_property
    def engine(self) -> Engine:
        """The target's engine."""
        target = self.target
        models = self.float_model, self.int8_model
        toolchain = find_target(target.name).fingerprint()  # one engine for all devices of a kind
        stage = Compile(*models, target.name, toolchain, target.engine_name)
        return Engine(self._make(stage), stage.file_name, stage.target, target.fingerprint(), self.device)

    @cached_property
    def accuracy(self) -> Product:
        """accuracy.json and skipped.json."""
        return self._make(
            Validate(
                float_model=self.float_model,
                engine=self.engine,
                images=self.evaluation,
                preprocessing=self.model.preprocessing,
                training=TrainingImages(self.dataset),
                task=self.model.task,
            )
        )

    @cached_property
    def measurements(self) -> Product | None:
        """fp32.json and, if the target is this machine, int8.json; None if there is no engine yet."""
        if self.target.state is BuildState.NOT_BUILT:
            return None
        return self._make(
            Measure(
                float_model=self.float_model,
                engine=self.engine,
                images=self.evaluation,
                preprocessing=self.model.preprocessing,
                settings=self.latency_settings,
                threads=self.config.latency.threads,
            )
        )

    @cached_property
    def sensitivity(self) -> Product | None:
        """sensitivity.json, if asked for."""
        wanted = self.config.validation.sensitivity
        if not wanted:
            return None
        images = CalibrationImages(self.evaluation.stratified(wanted, seed=0), self.model.preprocessing)
        return self._make(Attribute(self._quantized, images))

    def study(self, draws: int) -> Product:
        """study.json: how many calibration images are enough, by so many random draws of each number."""
        whole = CalibrationImages(self.dataset.split("calibration"), self.model.preprocessing)
        subject = self.model.name, _name(self._location()), self.float_model, whole
        return self._make(Study(*subject, self.recipe, self.config.calibration.images, draws))

    @cached_property
    def robustness(self) -> Product | None:
        """robustness.json, if it is wanted."""
        wanted = self.config.validation.robustness
        if not wanted:
            return None
        return self._make(
            Robustness(
                float_model=self.float_model,
                engine=self.engine,
                images=self.evaluation.stratified(wanted, seed=0),
                preprocessing=self.model.preprocessing,
                seed=0,
            )
        )

    @cached_property
    def report(self) -> Product:
        """report.json and report.html: everything that was measured."""
        return self._make(self._report(self.measurements))

    @cached_property
    def lasting_report(self) -> Product:
        """The same without latency and memory, which are never the same again: what a bundle holds."""
        return self._make(self._report(None))

    @cached_property
    def samples(self) -> Product:
        """evaluation.npz."""
        preprocessing = self.model.preprocessing
        size = sample_size(preprocessing, self.model.task, self.classes)
        images = self.evaluation.stratified(size, seed=0)
        return self._make(Sample(self.float_model, self.engine, images, preprocessing))

    @cached_property
    def bundle(self) -> Product:
        """<model>-<target>.edgec."""
        return self._make(
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

    def _report(self, measurements: Product | None) -> WriteReport:
        return WriteReport(
            model=self.model.name,
            recipe=self.recipe,
            dataset=_name(self._location()),
            threads=self.config.latency.threads,
            limits=self._limits(),
            evaluation=self.evaluation,
            calibration=self.calibration,
            checkpoint=self.checkpoint,
            float_model=self.float_model,
            int8_model=self.int8_model,
            engine=self.engine,
            accuracy=self.accuracy,
            measurements=measurements,
            sensitivity=self.sensitivity,
            robustness=self.robustness,
        )

    @property
    def _quantized(self) -> Quantized:
        return Quantized(self.prepared_model, self.ranges, self.quantized_model, self.recipe)

    def _limits(self) -> GateLimits:
        accuracy, latency = self.config.validation, self.config.latency
        return GateLimits(
            accuracy.max_drop, accuracy.min_ratio, latency.p50_ms, latency.p90_ms, latency.p99_ms
        )

    def _make(self, stage: Stage) -> Product:
        start = perf_counter()
        product = self.store.make(stage, self.progress)
        with writing(self.store.root):
            self.digests.save()
        self.steps.append(Step(stage.name, product.cached, perf_counter() - start))
        return product

    def _dataset(self) -> Dataset:
        model, labels = self.model, self.config.labels
        if isinstance(model, ForeignModel) and model.task is Task.SEGMENT:
            return open_for_segmentation(self._location(), labels, model.named_labels, self.digests)
        dataset = open_dataset(self._location(), labels, self.digests)
        if isinstance(model, ForeignModel) and model.labels is not None:
            return relabelled(dataset, model.labels, model.name)
        return dataset

    def _location(self) -> Path:
        location = self.config.data or self.model.data
        if location is None:
            raise DataError(
                f"{self.model.name} comes without images. Name a data set with --data (DATA= in make): a "
                "folder <split>/<class>/*.jpg, a folder or .zip with labels.csv, or CIFAR-10."
            )
        return location


def _find(config: BuildConfig) -> KnownModel | ForeignModel:
    """Return the model by its name, or by its file. Raises UsageError if it cannot have a checkpoint."""
    if not is_foreign(config.model):
        return find_model(config.model)
    if config.checkpoint is not None:
        raise UsageError(f"{config.model} holds its own weights; leave the checkpoint out.")
    return read_foreign(Path(config.model))


def _name(location: Path) -> str:
    """Return what to call a data set in a report: its known name, or else its folder's or file's."""
    return next((name for name, place in NAMED.items() if place == location), location.resolve().name)
