"""The request of a build: model, weights, images, target and limits, checked before any work."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from calibration.recipe import QuantRecipe
from pipeline.build.rules import check_brought, check_task
from pipeline.bundle.signing import public_half
from pipeline.cache.digest import InputFile, RememberedDigests
from pipeline.config import BuildConfig, ExportConfig
from pipeline.data.embedded import NAMED
from pipeline.data.left_over import filled_up, left_over
from pipeline.data.split import Split
from pipeline.errors import DataError, UsageError
from pipeline.known_devices import find_device
from pipeline.models.foreign.description import ForeignModel, description_file, is_foreign, read_foreign
from pipeline.models.zoo import KnownModel, find_model
from pipeline.packages.kinds import check_kinds
from pipeline.progress import Progress
from pipeline.report.latency_gates import LatencyLimits
from pipeline.report.limits import GateLimits
from pipeline.stages.image_set import ModelImages
from targets.base import Target
from targets.registry import find_target
from targets.runtime.bundle.manifest import CONTROL
from targets.runtime.measure import Settings

AUTO = "auto"


class Request:
    """The objects that a configuration names. Creating it raises an error if one is missing or wrong."""

    def __init__(self, config: BuildConfig, progress: Progress) -> None:
        self.config = config
        self.progress = progress
        self.said: list[str] = []
        """What was said of the request itself, whatever stages ran."""
        self.model: KnownModel | ForeignModel = _find(config)
        self.device = None if config.device is None else str(find_device(config.device))
        check_task(self.model.task, config)
        self.target: Target = find_target(config.target, self.device)
        if config.calibration.recipe not in (None, AUTO):
            QuantRecipe.parse(config.calibration.recipe)  # a wrong name is refused before any work
        self.is_quantised = self.model.is_quantised
        check_brought(config, Path(config.model) if self.is_quantised else None)
        check_kinds(config.package)
        self.target.check()
        self.kept = config.out / "store"
        self.digests = RememberedDigests(self.kept / "digests.json")
        self.checkpoint = self.model.weights_file(config.checkpoint, config.data)
        key = config.signing_key
        self.signing_key = None if key is None else InputFile(key, public_half(key).name)
        if config.soak is not None and not config.soak.is_file():
            raise UsageError(f"soak is {config.soak}, which is not a file. Give a soak.json from a device.")
        if config.power_modes is not None and not config.power_modes.is_file():
            raise UsageError(
                f"power_modes is {config.power_modes}, which is not a file. Give a power_modes.json from a"
                " Jetson."
            )
        self.dataset = self.model.open_images(
            self._location(), config.labels, config.class_order, self.digests
        )
        self.classes = self._classes()

    def require_float(self, purpose: str) -> None:
        """Raise UsageError if the model came quantised: its float network is not known."""
        if self.is_quantised:
            raise UsageError(
                f"{self.config.model} is already quantised; there is no float network to {purpose}. Give the"
                " one that it was made from."
            )

    @property
    def name(self) -> str:
        """The name of the results."""
        return f"{self.model.name}-{self.target.name}"

    @cached_property
    def evaluation(self) -> Split:
        """The images that accuracy is measured on."""
        whole, wanted = self.dataset.split("evaluation"), self.config.validation.images
        return whole.stratified(wanted, seed=0) if wanted else whole

    @cached_property
    def calibration(self) -> Split:
        """The images to calibrate with, none of them an evaluation image; empty if the model is quantised.

        They are mixed, since some of calibration's methods read the first images only.
        """
        if self.is_quantised:
            return self.evaluation.none("calibration")
        settings = self.config.calibration
        split = filled = self.dataset.split("calibration").stratified(settings.images, settings.seed)
        if settings.max_drop is None:  # else `tuning` needs labelled images that are not calibrated with
            filled = filled_up(split, self.dataset, settings.images, settings.seed)
        if len(filled) > len(split):
            self._say(
                f"calibrate: {len(split)} calibration images and {len(filled) - len(split)} training images"
            )
        if len(filled) < settings.images:
            self._say(f"calibrate: only {len(filled)} images, {settings.images} were asked for")
        return filled.mixed(settings.seed)

    @cached_property
    def tuning(self) -> Split:
        """Labelled images that are neither calibrated with nor evaluated on, for `calibration.max_drop`."""
        rest = left_over(self.dataset, self.calibration)
        return rest.stratified(self.config.calibration.tuning_images, self.config.calibration.seed)

    @property
    def latency_settings(self) -> Settings:
        """How latency is measured. Warming up takes no longer than measuring may."""
        wanted, longest = self.config.latency, Settings.max_warmup_seconds
        warm_up = min(longest, wanted.seconds)
        return Settings(
            wanted.batch, wanted.precision, max_seconds=wanted.seconds, max_warmup_seconds=warm_up
        )

    @cached_property
    def calibration_images(self) -> ModelImages:
        """The calibration images with the model's preprocessing."""
        return self.seen(self.calibration)

    def seen(self, split: Split) -> ModelImages:
        """Return images with the model's preprocessing."""
        return ModelImages(split, self.model.preprocessing)

    @property
    def limits(self) -> GateLimits:
        """The limits of the gates."""
        accuracy, latency = self.config.validation, self.config.latency
        return GateLimits(
            max_drop=accuracy.max_drop,
            min_ratio=accuracy.min_ratio,
            min_top1=accuracy.min_top1,
            latency=LatencyLimits(latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.judge),
            min_speedup=latency.min_speedup,
            sustained_p90_ms=accuracy.sustained_p90_ms,
        )

    @property
    def data_name(self) -> str:
        """The data set's name in reports: its known name, or the name of its folder or file."""
        location = self._location()
        return next((name for name, place in NAMED.items() if place == location), location.resolve().name)

    def _say(self, line: str) -> None:
        self.said.append(line)
        self.progress.say(line)

    def _classes(self) -> int:
        names = self.dataset.classes
        wrong = next((name for name in names if CONTROL.search(name) or len(name.splitlines()) > 1), None)
        if wrong is not None:
            raise DataError(
                f"The class {wrong!r} of {self.dataset.location} has a line break or another control"
                " character, so that lists of classes, one a line, would name others. Rename that class."
            )
        try:
            return self.model.classes_for(len(names))
        except DataError as error:
            raise DataError(f"{error} The data set has the classes {', '.join(names[:40])}.") from error

    def _location(self) -> Path:
        location = self.config.data or self.model.data
        if location is None:
            raise DataError(
                f"{self.model.name} comes without images. Give a data set with --data (DATA= in make): a "
                "folder <split>/<class>/*.jpg, a folder or .zip with labels.csv, or CIFAR-10."
            )
        return location


def _find(config: BuildConfig) -> KnownModel | ForeignModel:
    """Return the model by name or file. Raises UsageError for settings that an ONNX file cannot have."""
    if not is_foreign(config.model):
        return normalised_as(find_model(config.model), config.export)
    if config.export.normalises:
        raise UsageError(
            f"{config.model} is described in {description_file(Path(config.model))}: give mean, std and"
            " colors there, not under [export]."
        )
    if config.checkpoint is not None:
        raise UsageError(f"{config.model} holds its own weights; leave the checkpoint out.")
    if config.weights is not None:
        raise UsageError(f"{config.model} holds one set of weights; leave `weights` out.")
    return read_foreign(Path(config.model))


def normalised_as(model: KnownModel, wanted: ExportConfig) -> KnownModel:
    """Return the model with the normalisation of [export]. Raises UsageError for a wrong number of values."""
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
