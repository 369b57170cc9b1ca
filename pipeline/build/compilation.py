"""From weights to engine: the stages of a build that make its models, and what each one works on."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import assert_never

from calibration.recipe import QuantRecipe
from pipeline.build.request import AUTO, Request
from pipeline.build.requested_unit import requested_units
from pipeline.build.stage_run import StageRun
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store, writing
from pipeline.config import BuildConfig
from pipeline.extras import require
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.zoo import KnownModel
from pipeline.progress import Progress
from pipeline.stages.adopt import Adopt
from pipeline.stages.adopt_quantised import AdoptQuantised
from pipeline.stages.artifacts import (
    BroughtModel,
    ExportedModel,
    FloatModel,
    QuantizedModel,
    RangesFile,
)
from pipeline.stages.bring import Bring
from pipeline.stages.calibrate import Calibrate
from pipeline.stages.checked_export import CheckedExport
from pipeline.stages.choose import Choose, ChosenRecipe
from pipeline.stages.choose_default import ChooseDefault
from pipeline.stages.compile import Compile, CompiledEngine
from pipeline.stages.export import Export
from pipeline.stages.mix import Mix
from pipeline.stages.observe_part import ObservedPart, ObservePart, parts_of
from pipeline.stages.prepare import Prepare
from pipeline.stages.quantize import Quantize, QuantizedNetwork
from pipeline.units.digest_unit import share_digests
from pipeline.units.workers import Here, Workers
from targets.base import FitsPictures, LimitsWeights
from targets.registry import find_target

HERE = Here()
CHECK_IMAGES = 32
"""Evaluation images on which the exported model is compared with torch."""


class Compilation(Request):
    """The models of a build. Creating this checks the request; reading a property makes its product.

    Each product reads the products that it is made from, so that reading the engine runs all of these stages.
    """

    def __init__(self, config: BuildConfig, progress: Progress, workers: Workers = HERE) -> None:
        super().__init__(config, progress)
        self.workers = workers
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
        return ExportedModel(self.make(stage))

    @cached_property
    def recipe(self) -> QuantRecipe:
        """The recipe: the one of the configuration, or with "auto" the best of several.

        Without one it is the target's own, or for a network not of our family what its operators ask for.
        Raises MissingExtraError, before anything is computed with it, if it needs torch and there is none.
        """
        if self.brought is None and self.config.calibration.recipe == AUTO:
            require("torch", "recipe = 'auto' tries recipes that need it")
        recipe = self._recipe
        if self.brought is None and recipe.needs_gradients:
            require("torch", f"the recipe {recipe.name} needs it, others do not (`edgec recipes`, --recipe)")
        return recipe

    @property
    def _recipe(self) -> QuantRecipe:
        name = self.config.calibration.recipe
        if self.brought is not None:
            return self.brought.recipe
        if name is None and self.model.recipe_by_operators:
            default = ChooseDefault(self.float_model, self.target.recipe, self.target.reads_wide)
            return ChosenRecipe(self.make(default)).recipe
        if name != AUTO:
            return QuantRecipe.parse(name) if name else self.target.recipe
        seconds = self.config.calibration.auto_seconds
        scheme = self.target.recipe.scheme
        choose = Choose(self.float_model, self.calibration_images, scheme, seconds)
        return ChosenRecipe(self.make(choose)).recipe

    @cached_property
    def brought(self) -> BroughtModel | None:
        """The quantised model, if the user brings one: as the model itself, or besides it."""
        scheme, shape = self.target.recipe.scheme, self.model.input_shape
        images = self.evaluation.stratified(CHECK_IMAGES, seed=0)
        path, batch = self.config.calibration.quantized, self.config.export.dynamic_batch
        lowest = self.target.lowest_weight if isinstance(self.target, LimitsWeights) else -128
        if (quantised := self.model.if_quantised) is not None:
            adopt = AdoptQuantised(
                quantised, self.checkpoint, scheme, self.classes, images, batch, True, lowest
            )
            return BroughtModel(self.make(adopt))
        if path is None:
            return None
        from pipeline.models.foreign.external_data import input_onnx
        from pipeline.models.foreign.quantised.beside_float import described_by, is_ours

        quantized = input_onnx(path)
        if is_ours(path):
            return BroughtModel(self.make(Bring(quantized, scheme, shape, self.classes)))
        theirs = described_by(path, self.model)
        adopt = AdoptQuantised(theirs, quantized, scheme, self.classes, images, batch, False, lowest)
        return BroughtModel(self.make(adopt))

    @cached_property
    def prepared_model(self) -> FloatModel:
        """The float model that is quantised: rewritten if the recipe says so."""
        if not self.recipe.prepares:
            return self.float_model
        return FloatModel(self.make(Prepare(self.float_model, self.calibration_images, self.recipe)))

    @cached_property
    def ranges(self) -> RangesFile:
        """The range of each tensor on the calibration images."""
        stage = Calibrate(self.prepared_model, self.calibration_images, self.recipe)
        if not isinstance(self.workers, Here) and not self.store.holds(stage):
            self.share_out(self.calibration_parts, "calibrate")
            parts = tuple(ObservedPart(self.make(part)) for part in self.calibration_parts)
            stage = replace(stage, parts=parts)
        return RangesFile(self.make(stage))

    @property
    def calibration_parts(self) -> tuple[ObservePart, ...]:
        """The parts of the calibration that workers compute: none if the model came quantised."""
        parts = parts_of(self.calibration_images)
        return tuple(ObservePart(self.prepared_model, part, self.recipe) for part in parts)

    @cached_property
    def quantized_model(self) -> QuantizedModel:
        """The quantised model with all layers in 8 bits."""
        images = self.calibration_images if self.recipe.needs_images else None
        return QuantizedModel(self.make(Quantize(self.prepared_model, self.ranges, self.recipe, images)))

    @cached_property
    def int8_model(self) -> QuantizedModel:
        """The quantised model that is compiled: with layers in float if `calibration.max_drop` needs it."""
        max_drop = self.config.calibration.max_drop
        if self.brought is not None:
            return self.brought
        if max_drop is None:
            return self.quantized_model
        tuning = self.seen(self.tuning)
        target = self.target
        mix = Mix(self.quantized_network, tuning, max_drop, target.float_precision, target.reads_wide)
        return QuantizedModel(self.make(mix))

    @cached_property
    def engine(self) -> CompiledEngine:
        """The target's engine."""
        target = self.target
        models = self.float_model, self.int8_model
        toolchain = find_target(target.name).fingerprint()  # no device: all of a kind share one engine
        fitting = self.model.preprocessing if isinstance(target, FitsPictures) else None
        stage = Compile(*models, target.name, toolchain, target.engine_name, fitting)
        return CompiledEngine(
            self.make(stage), stage.file_name, target.name, target.fingerprint(), self.device
        )

    @property
    def quantized_network(self) -> QuantizedNetwork:
        """The quantised model with what it was made from."""
        return QuantizedNetwork(self.prepared_model, self.ranges, self.quantized_model, self.recipe)

    def share_out(self, stages: Sequence[Stage], what: str, on_board: bool = False) -> None:
        """Let the workers run independent stages, whose results `make` then finds.

        on_board: they run the engine, on the board if the build has one.
        Without workers nothing is done, nor for what the store has. Raises what `FinishedUnit.value` does for
        the first that failed, when all others are done.
        """
        if isinstance(self.workers, Here):
            return
        board = self.config.device if on_board else None
        units = requested_units(stages, self.store.root, what, self.config, board)
        missing = [unit for unit in units if not self.store.holds(unit.stage)]
        ended = list(self.workers.run(missing, self.progress)) if missing else []
        for one in ended:
            one.value()

    def share_digests(self) -> None:
        """Let the workers digest the pictures of a folder. Without workers nothing is done."""
        folder = Path(self.dataset.location)
        if not isinstance(self.workers, Here) and folder.is_dir():
            share_digests(folder, self.digests, self.workers, self.progress)

    def make(self, stage: Stage, progress: Progress | None = None) -> Product:
        """Run a stage, or take its output from the store. What the build keeps is recorded there.

        progress: where the stage reports, if not where the build does.
        """
        start = perf_counter()
        product = self.store.make(stage, progress or self.progress)
        self.store.record(self.name, product)
        with writing(self.store.root):
            self.digests.save()
        self.used.append(product)
        self.steps.append(StageRun(stage.name, product.cached, perf_counter() - start, product.damage))
        return product
