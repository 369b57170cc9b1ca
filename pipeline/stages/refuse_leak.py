"""Training and evaluation images -> separate.json, if no image is in both."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.cache.stage import Stage
from pipeline.data.dataset import Dataset
from pipeline.data.split import Split
from pipeline.progress import Progress


@dataclass(frozen=True)
class TrainingImages:
    """The training images of the data set: an evaluation image among them is an error."""

    dataset: Dataset
    digest: str
    """The digest of the training images, or of the files that they are packed in."""

    def refuse_leak(self) -> None:
        """Raise DataError naming images that are in both splits."""
        self.dataset.refuse_leak()


@dataclass(frozen=True)
class RefuseLeak(Stage):
    """Compare the training images with those of the evaluation."""

    name: ClassVar[str] = "compare-splits"

    training: TrainingImages
    evaluation: Split

    def run(self, output: Path, progress: Progress) -> None:
        """Write how many evaluation images are none of the training's. Raises DataError naming the others."""
        with progress.task("compare training with evaluation images", None):
            self.training.refuse_leak()
        (output / "separate.json").write_text(json.dumps({"evaluation_images": len(self.evaluation)}))
