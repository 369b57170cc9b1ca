"""A whole build as a unit: of one model, for one target, with one recipe."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.build.plan import Build
from pipeline.build.publish import publish
from pipeline.cache.digest import value_digest
from pipeline.config import BuildConfig
from pipeline.progress import Progress, Silent


@dataclass(frozen=True)
class PublishedBuild:
    """Where a build has put its bundle and its report."""

    name: str
    bundle: Path
    report: Path


@dataclass(frozen=True)
class BuildUnit:
    """A build from its settings to its published bundle. `config.out` is a folder that all machines share.

    Its parts are entries of the store, so that a build that was killed goes on where it stopped.
    label: appended to the name of what it publishes. board: one that it needs for itself, if it measures.
    """

    config: BuildConfig
    label: str = ""
    board: str | None = None
    has_float_bits: bool = True

    @property
    def title(self) -> str:
        """Model and target."""
        recipe = self.config.calibration.recipe
        return f"build {self.config.model} for {self.config.target}{f' as {recipe}' if recipe else ''}"

    @property
    def digest(self) -> str:
        """Over the settings, the network, the images and the target."""
        settings = self.config.model_dump(mode="json", exclude={"out", "data", "checkpoint", "signing_key"})
        return value_digest([json.dumps(settings, sort_keys=True), self.inputs])

    @cached_property
    def inputs(self) -> Mapping[str, str]:
        """The digests of network, images and target."""
        build = Build(self.config, Silent())
        return {
            "checkpoint": build.checkpoint.digest,
            "evaluation": build.evaluation.digest,
            "calibration": build.calibration.digest,
            "target": value_digest(build.target.fingerprint()),
        }

    def run(self, progress: Progress) -> PublishedBuild:
        """Build, validate, measure and publish."""
        build = Build(self.config, progress)
        bundle = publish(build, self.label)
        return PublishedBuild(build.name + self.label, bundle, bundle.with_suffix("") / "report.json")
