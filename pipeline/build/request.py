"""What a build is asked for: model, weights, images, target and limits, checked before any work."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from calibration.recipe import QuantRecipe
from pipeline.build.rules import check_brought
from pipeline.bundle.signing import public_half
from pipeline.cache.digest import InputFile, RememberedDigests
from pipeline.config import BuildConfig, ExportConfig
from pipeline.data.dataset import Dataset
from pipeline.data.embedded import NAMED
from pipeline.data.left_over import left_over
from pipeline.data.masks import open_for_segmentation
from pipeline.data.numbered_classes import in_order
from pipeline.data.open import open_dataset
from pipeline.data.relabel import relabelled
from pipeline.data.split import Split
from pipeline.errors import DataError, UsageError
from pipeline.known_devices import find_device
from pipeline.models.foreign.description import ForeignModel, description_file, is_foreign, read_foreign
from pipeline.models.zoo import KnownModel, find_model, find_weights
from pipeline.progress import Progress
from pipeline.report.limits import GateLimits
from pipeline.stages.image_set import ModelImages
from pipeline.task import Task
from targets.base import Target
from targets.registry import find_target
from targets.runtime.measure import Settings

AUTO = "auto"


class Request:
    """What a configuration names. Raises errors that say what is wrong with it when it is created."""

    def __init__(self, config: BuildConfig, progress: Progress) -> None:
        self.config = config
        self.progress = progress
        self.model: KnownModel | ForeignModel = _find(config)
        self.device = None if config.device is None else str(find_device(config.device))
        self.model.task.check(config)
        self.target: Target = find_target(config.target, self.device)
        if config.calibration.recipe not in (None, AUTO):
            QuantRecipe.parse(config.calibration.recipe)  # a wrong name is an error before any work
        self.is_quantised = isinstance(self.model, ForeignModel) and is_quantised_file(self.model.path)
        check_brought(config, Path(config.model) if self.is_quantised else None)
        self.target.check()
        self.kept = config.out / "store"
        self.digests = RememberedDigests(self.kept / "digests.json")
        self.checkpoint = self._weights()
        key = config.signing_key
        self.signing_key = None if key is None else InputFile(key, public_half(key).name)
        self.dataset = self._dataset()
        self.classes = self._classes()

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
        """The images that ranges are found from, none of them an evaluation image.

        None at all where the model came quantised.
        """
        if self.is_quantised:
            return self.evaluation.none("calibration")
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
    def calibration_images(self) -> ModelImages:
        """The calibration images as the model sees them."""
        return self.seen(self.calibration)

    def seen(self, split: Split) -> ModelImages:
        """Return images as the model sees them."""
        return ModelImages(split, self.model.preprocessing)

    @property
    def limits(self) -> GateLimits:
        """What the gates judge."""
        accuracy, latency = self.config.validation, self.config.latency
        return GateLimits(
            max_drop=accuracy.max_drop,
            min_ratio=accuracy.min_ratio,
            min_top1=accuracy.min_top1,
            p50_ms=latency.p50_ms,
            p90_ms=latency.p90_ms,
            p99_ms=latency.p99_ms,
            min_speedup=latency.min_speedup,
        )

    @property
    def data_name(self) -> str:
        """What to call the data set in a report: its known name, or else its folder's or file's."""
        location = self._location()
        return next((name for name, place in NAMED.items() if place == location), location.resolve().name)

    def _weights(self) -> InputFile:
        if isinstance(self.model, ForeignModel):
            from pipeline.models.foreign.external_data import input_onnx

            return input_onnx(self.model.path)
        return InputFile.at(find_weights(self.model, self.config.checkpoint, self.config.data))

    def _classes(self) -> int:
        names = self.dataset.classes
        try:
            return self.model.classes_for(len(names))
        except DataError as error:
            raise DataError(f"{error} The data set's are {', '.join(names[:40])}.") from error

    def _dataset(self) -> Dataset:
        model, labels = self.model, self.config.labels
        if isinstance(model, ForeignModel) and model.task is Task.SEGMENT:
            return open_for_segmentation(self._location(), labels, model.named_labels, self.digests)
        dataset = open_dataset(self._location(), labels, self.digests)
        if isinstance(model, ForeignModel) and model.labels is not None:
            return relabelled(dataset, model.labels, model.name)
        return in_order(dataset, self.config.class_order)

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
        return normalised_as(find_model(config.model), config.export)
    if config.export.normalises:
        raise UsageError(
            f"{config.model} is described in {description_file(Path(config.model))}: say mean, std and colors"
            " there, not under [export]."
        )
    if config.checkpoint is not None:
        raise UsageError(f"{config.model} holds its own weights; leave the checkpoint out.")
    if config.weights is not None:
        raise UsageError(f"{config.model} holds one set of weights; leave `weights` out.")
    return read_foreign(Path(config.model))


def is_quantised_file(path: Path) -> bool:
    """Whether an ONNX file quantises its activations. Raises CheckpointError if it cannot be read."""
    from pipeline.models.foreign.quantised.read_quantised import is_quantised_file as found

    return found(path)


def normalised_as(model: KnownModel, wanted: ExportConfig) -> KnownModel:
    """Return the model with what its checkpoint was trained with. Raises UsageError for a wrong number."""
    if not wanted.normalises:
        return model
    values = {"mean": wanted.mean or model.mean, "std": wanted.std or model.std}
    for name, value in values.items():
        if len(value) not in (1, model.channels):
            raise UsageError(
                f"export.{name} has {len(value)} values, {model.name} takes {model.channels} channels."
                " Give one, or one a channel."
            )
    if wanted.colors == "BGR" and model.channels != 3:
        raise UsageError(f"export.colors is 'BGR', and {model.name} takes gray pictures. Leave it out.")
    mean, std = (v * model.channels if len(v) == 1 else v for v in values.values())
    return replace(model, mean=mean, std=std, colors=wanted.colors or "RGB")
