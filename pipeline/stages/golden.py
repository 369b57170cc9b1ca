"""Engine + a few evaluation images -> evaluation.npz: what a device must compute again."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.data.split import Split
from pipeline.progress import Progress
from pipeline.stage import Stage
from pipeline.stages.compile import Engine
from targets.registry import find_target
from targets.runtime.preprocess import Preprocessing, decode
from targets.runtime.selftest import EVALUATION

EXACT_RUNNERS = ("native_runner",)
"""Runners that give the same bits on every machine."""


@dataclass(frozen=True)
class Golden(Stage):
    """Keep images, labels and the engine's logits for them, and a picture with its preprocessed bytes."""

    name: ClassVar[str] = "golden"
    code: ClassVar[tuple[str, ...]] = ("pipeline/stages/golden.py", "pipeline/data", "targets")
    tools: ClassVar[tuple[str, ...]] = ("numpy", "opencv-python")

    engine: Engine
    runner: str
    images: Split
    preprocessing: Preprocessing

    def run(self, output: Path, progress: Progress) -> None:
        """Write evaluation.npz."""
        with progress.task("self-test of the bundle", None):
            batch = next(self.images.readable(self.preprocessing, len(self.images)))
            with find_target(self.engine.target).open(self.engine.path) as runner:
                logits = runner.infer(batch.images)
            picture = _picture()
            decoded = decode(picture.tobytes(), self.preprocessing.channels)
            np.savez(
                output / EVALUATION,
                images=batch.images,
                labels=batch.labels,
                logits=logits,
                exact=np.array(self.runner in EXACT_RUNNERS),
                picture=picture,
                preprocessed=self.preprocessing(decoded),
            )


def _picture() -> NDArray[np.uint8]:
    """A PNG file, which all decoders read alike, larger than most inputs: ramps, edges and noise."""
    y, x = np.indices((311, 407))
    noise = np.random.default_rng(0).integers(0, 64, x.shape)
    planes = [x * 255 // 406, y * 255 // 310, (x // 9 + y // 7) % 2 * 191 + noise]
    return cv2.imencode(".png", np.stack(planes, axis=2).astype(np.uint8))[1]
