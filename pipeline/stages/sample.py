"""A few evaluation images and the logits they should give -> evaluation.npz, which goes to the device."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.stage import Stage
from pipeline.data.split import Batch
from pipeline.progress import Progress
from pipeline.report.overlap import at_size
from pipeline.stages.artifacts import Artifact, FloatModel
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.image_set import ModelImages
from pipeline.task import Task
from targets.base import BuildState
from targets.reference import ReferenceTarget
from targets.runtime.bundle.manifest import EVALUATION
from targets.runtime.preprocess import Preprocessing, decode

BATCH = 32
MOST_IMAGES, MOST_BYTES = 256, 8 << 20
"""Limits for a self-test: images, and bytes of images and logits. Bundles are sent over networks."""
TO_DECIDE_IMAGES, TO_DECIDE_BYTES = 1024, 32 << 20
"""The same for a device that builds its engines and decides by these images whether INT8 is good enough: 256
cannot show that it loses less than 1.5 points."""


def sample_size(preprocessing: Preprocessing, task: Task, classes: int, state: BuildState) -> int:
    """Return how many images to ship, given the size of their logits and where the engine is built."""
    pixels = preprocessing.height * preprocessing.width
    logits = 2 * np.float32().nbytes * classes if task is Task.SEGMENT else 0
    most, most_bytes = (
        (MOST_IMAGES, MOST_BYTES) if state is BuildState.BUILT else (TO_DECIDE_IMAGES, TO_DECIDE_BYTES)
    )
    return max(1, min(most, most_bytes // (pixels * (preprocessing.channels + logits))))


@dataclass(frozen=True)
class Samples(Artifact):
    """What `TakeSamples` wrote."""

    file_name: ClassVar[str] = EVALUATION

    def logits_shape(self) -> tuple[int, ...]:
        """Return the shape of the engine's logits: [N, classes], or [N, classes, height, width]."""
        with np.load(self.path, allow_pickle=False) as held:
            return tuple(held["int8"].shape)


@dataclass(frozen=True)
class TakeSamples(Stage):
    """Classify a few images with the float model and the engine, for the device to compare with."""

    name: ClassVar[str] = "sample"
    tools: ClassVar[tuple[str, ...]] = ("onnxruntime", "numpy", "opencv-python")

    float_model: FloatModel
    engine: CompiledEngine
    images: ModelImages

    def run(self, output: Path, progress: Progress) -> None:
        """Write evaluation.npz; `targets.runtime.selftest` says what is in it."""
        images, labels, fp32_logits, int8_logits = [], [], [], []
        target = self.engine.target_reporting_to(progress)
        with (
            ReferenceTarget().open(self.float_model.path) as fp32,
            target.open(self.engine.path) as int8,
            progress.task("sample", len(self.images)) as advance,
        ):
            for batch in self.images.readable(BATCH):
                images.append(batch.images)
                expected = fp32.infer(batch.images)
                labels.append(batch.labels if expected.ndim == 2 else _of_pixels(batch, expected))
                fp32_logits.append(expected)
                int8_logits.append(int8.infer(batch.images).reshape(expected.shape))
                advance(len(batch.images))
        picture, preprocessing = _picture(), self.images.preprocessing
        np.savez_compressed(
            output / Samples.file_name,
            images=np.concatenate(images),
            labels=np.concatenate(labels),
            fp32=np.concatenate(fp32_logits),
            int8=np.concatenate(int8_logits),
            picture=picture,
            preprocessed=preprocessing(decode(picture.tobytes(), preprocessing.channels)),
        )


def _of_pixels(batch: Batch, fp32: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the labels of pixels, int64 [N, h, w]; the float model's classes if there are no masks."""
    if batch.masks is None:
        classes: NDArray[np.int64] = fp32.argmax(1)
        return classes
    return np.stack([at_size(mask, fp32.shape[2:]) for mask in batch.masks]).astype(np.int64)


def _picture() -> NDArray[np.uint8]:
    """Return a PNG file, which all decoders decode alike: ramps, edges and noise, larger than most inputs."""
    y, x = np.indices((311, 407))
    noise = np.random.default_rng(0).integers(0, 64, x.shape)
    planes = [x * 255 // 406, y * 255 // 310, (x // 9 + y // 7) % 2 * 191 + noise]
    import cv2

    return cv2.imencode(".png", np.stack(planes, axis=2).astype(np.uint8))[1]
