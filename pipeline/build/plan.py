"""A build, from configuration to bundle: which stages there are, and what each one works on."""

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from time import perf_counter

from calibration.recipe import QuantRecipe
from pipeline.build.request import AUTO, Request
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store, writing
from pipeline.config import BuildConfig, recorded
from pipeline.data.open import training_digest
from pipeline.models.foreign.description import ForeignModel
from pipeline.progress import Progress
from pipeline.report.plausibility import judged_to_know
from pipeline.report.sections.pixels import PixelAccuracy
from pipeline.stages.adopt import Adopt
from pipeline.stages.adopt_quantised import UNROUNDED, AdoptQuantised
from pipeline.stages.attribute import Attribute
from pipeline.stages.bring import Bring, brought_recipe
from pipeline.stages.bundle import Bundle
from pipeline.stages.calibrate import Calibrate
from pipeline.stages.choose import Choose, chosen
from pipeline.stages.compile import Compile, CompiledEngine
from pipeline.stages.corrupt import Corrupt
from pipeline.stages.diagnose import Diagnose
from pipeline.stages.export import Export
from pipeline.stages.measure_latency import Measure
from pipeline.stages.mix import Mix
from pipeline.stages.own_graph import OwnGraph
from pipeline.stages.peer import CALIBRATED_WITH, COMPARED_ON, Peer, QuantizeElsewhere
from pipeline.stages.prepare import Prepare
from pipeline.stages.quantize import Quantize, QuantizedNetwork
from pipeline.stages.report import WriteReport, read_accuracy
from pipeline.stages.sample import TakeSamples, sample_size
from pipeline.stages.study import Study
from pipeline.stages.validate import ACCURACY, TrainingImages, Validate
from targets.base import BuildState
from targets.registry import find_target

CHECK_IMAGES = 32
"""Evaluation images on which the exported model is compared with torch."""


@dataclass(frozen=True)
class StageRun:
    """What became of one stage."""

    stage: str
    cached: bool
    seconds: float
    damage: str = ""
    """What was wrong with the stored result, if it had to be made anew."""


class Build(Request):
    """One build: what is asked for is checked when it is created, a product is made when asked for.

    Each product asks for the ones it is made from, so asking for the last runs every stage in order.
    """

    def __init__(self, config: BuildConfig, progress: Progress) -> None:
        super().__init__(config, progress)
        self.steps: list[StageRun] = []
        self.store = Store(self.kept)

    @cached_property
    def float_model(self) -> Product:
        """model.onnx."""
        model, classes, checkpoint = self.model, self.classes, self.checkpoint
        images = self.evaluation.stratified(CHECK_IMAGES, seed=0)
        wanted = self.config.export
        if self.is_quantised and self.brought is not None:
            return self.brought
        if isinstance(model, ForeignModel):
            return self._make(
                Adopt(model, classes, checkpoint, images, wanted.dynamic_batch, wanted.max_difference)
            )
        return self._make(
            Export(
                model,
                classes,
                checkpoint,
                self.config.weights,
                images,
                wanted.dynamic_batch,
                wanted.max_difference,
            )
        )

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
        """model.int8.onnx, if the user brings one; with model.onnx beside it, if it is the model itself."""
        scheme, shape = self.target.recipe.scheme, self.model.input_shape
        images = self.evaluation.stratified(CHECK_IMAGES, seed=0)
        path, batch = self.config.calibration.quantized, self.config.export.dynamic_batch
        if self.is_quantised and isinstance(self.model, ForeignModel):
            return self._make(
                AdoptQuantised(self.model, self.checkpoint, scheme, self.classes, images, batch, True)
            )
        if path is None:
            return None
        from pipeline.models.foreign.external_data import input_onnx
        from pipeline.models.foreign.quantised.beside_float import described_by, is_ours

        quantized = input_onnx(path)
        if is_ours(path):
            return self._make(Bring(quantized, scheme, shape, self.classes))
        theirs = described_by(path, self.model)
        return self._make(AdoptQuantised(theirs, quantized, scheme, self.classes, images, batch, False))

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
        tuning = self.seen(self.tuning)
        return self._make(Mix(self._quantized, tuning, max_drop, self.target.float_precision))

    @cached_property
    def engine(self) -> CompiledEngine:
        """The target's engine."""
        target = self.target
        models = self.float_model, self.int8_model
        toolchain = find_target(target.name).fingerprint()  # one engine for all devices of a kind
        stage = Compile(*models, target.name, toolchain, target.engine_name)
        return CompiledEngine(
            self._make(stage), stage.file_name, stage.target, target.fingerprint(), self.device
        )

    @cached_property
    def accuracy(self) -> Product:
        """accuracy.json and skipped.json."""
        return self._make(
            Validate(
                float_model=self.float_model,
                engine=self.engine,
                images=self.seen(self.evaluation),
                training=TrainingImages(self.dataset, training_digest(self.dataset, self.digests)),
                task=self.model.task,
            )
        )

    @property
    def _own(self) -> OwnGraph:
        return OwnGraph(self.model, self.checkpoint, self.float_model, self.is_quantised)

    @cached_property
    def peer(self) -> Peer | None:
        """onnxruntime's own INT8, where it is what would run on this machine without edgec."""
        if not (self.config.latency.peer and self.target.runs_here) or self.is_quantised:
            return None
        calibration = self.seen(self.calibration.stratified(CALIBRATED_WITH, seed=0))
        compared = self.seen(self.evaluation.stratified(COMPARED_ON, seed=0))
        return Peer(self._make(QuantizeElsewhere(self._own, calibration, compared)))

    @cached_property
    def diagnosis(self) -> Product | None:
        """diagnosis.json: why FP32 does no better than guessing; None where it does, or for pixels."""
        found = read_accuracy(self.accuracy.file(ACCURACY))
        one_class = len(set(self.evaluation.labels.tolist())) == 1
        if isinstance(found, PixelAccuracy) or one_class or judged_to_know(found):
            return None
        return self._make(Diagnose(self.model, self.checkpoint, self.config.weights, self.evaluation))

    @cached_property
    def measurements(self) -> Product | None:
        """fp32.json and, if the target is this machine, int8.json; None if there is no engine yet."""
        if self.target.state is BuildState.NOT_BUILT:
            return None
        return self._make(
            Measure(
                float_model=self.float_model,
                own=self._own,
                engine=self.engine,
                peer=self.peer,
                images=self.seen(self.evaluation),
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
        images = self.seen(self.evaluation.stratified(wanted, seed=0))
        return self._make(Attribute(self._quantized, images))

    def study(self, draws: int) -> Product:
        """study.json: how many calibration images are enough, by so many random draws of each number."""
        whole = self.seen(self.dataset.split("calibration"))
        subject = self.model.name, self.data_name, self.float_model, whole
        return self._make(Study(*subject, self.recipe, self.config.calibration.images, draws))

    @cached_property
    def robustness(self) -> Product | None:
        """robustness.json, if it is wanted."""
        wanted = self.config.validation.robustness
        if not wanted:
            return None
        return self._make(
            Corrupt(
                float_model=self.float_model,
                engine=self.engine,
                images=self.seen(self.evaluation.stratified(wanted, seed=0)),
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
        size = sample_size(self.model.preprocessing, self.model.task, self.classes)
        images = self.seen(self.evaluation.stratified(size, seed=0))
        return self._make(TakeSamples(self.float_model, self.engine, images))

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
            dataset=self.data_name,
            threads=self.config.latency.threads,
            limits=self.limits,
            evaluation=self.evaluation,
            preprocessing=self.model.preprocessing,
            calibration=self.calibration,
            checkpoint=self.checkpoint,
            float_model=self.float_model,
            int8_model=self.int8_model,
            engine=self.engine,
            toolchain={package: version(package) for package in self.target.packages},
            accuracy=self.accuracy,
            peer=self.peer if measurements is not None else None,
            measurements=measurements,
            parts=tuple(
                part for part in (self.sensitivity, self.robustness, self.diagnosis) if part is not None
            ),
            fp32_is=UNROUNDED if self.is_quantised else None,
        )

    @property
    def _quantized(self) -> QuantizedNetwork:
        return QuantizedNetwork(self.prepared_model, self.ranges, self.quantized_model, self.recipe)

    def _make(self, stage: Stage) -> Product:
        start = perf_counter()
        product = self.store.make(stage, self.progress)
        self.store.record(self.name, product)
        with writing(self.store.root):
            self.digests.save()
        self.steps.append(StageRun(stage.name, product.cached, perf_counter() - start, product.damage))
        return product
