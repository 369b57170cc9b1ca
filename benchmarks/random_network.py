"""A network with random weights: its images, its INT8 form, and how near an engine of it is to FP32."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.report.logit_distance import LogitNoise
from targets.base import Target

Images = NDArray[np.uint8]
Logits = NDArray[np.float32]

CALIBRATION = 32


@dataclass(frozen=True)
class RandomNetwork:
    """A float model in the project's form, and its images."""

    name: str
    model: Path
    images: Images
    calibration: Images


@dataclass(frozen=True)
class EngineOutcome:
    """What an engine makes of a network, beside FP32.

    agreement: share of images (pixels) with the same first class. int8_share: of multiply-accumulates.
    float_time: share of the time that is in float, of engines for this machine with operators in `floats`.
    """

    logits: Logits
    agreement: float
    sqnr_db: float | None
    int8_share: float | None
    floats: tuple[str, ...]
    float_time: float | None


def outcome(target: Target, engine: Path, int8: Path, images: Images, fp32: Logits) -> EngineOutcome:
    """Run an engine on the first images, as many as `images` has, and compare with FP32's logits."""
    from targets.tvm.cpu_target import IntegerTarget

    integer = isinstance(target, IntegerTarget)
    with target.open(engine) as runner:
        logits = runner.infer(images)
    expected = fp32[: len(logits)]
    logits = logits.reshape(expected.shape)  # engines give an image's values in a row
    share, floats = coverage_of(int8, integer)
    return EngineOutcome(
        logits,
        float((logits.argmax(1) == expected.argmax(1)).mean()),
        sqnr_db(logits, expected),
        share,
        floats,
        float_time(engine, images) if integer and target.runs_here else None,
    )


def pictures(count: int, shape: tuple[int, int, int], seed: int) -> Images:
    """Return real images, embedded ones, brought to any shape and tinted by channel: uint8 [N, H, W, C]."""
    import cv2

    from pipeline.data.open import open_dataset
    from pipeline.models.zoo import find_model

    height, width, channels = shape
    split = open_dataset("fashion-mnist").split("evaluation").stratified(count, seed)
    batch = next(split.batches(find_model("resnet20-fashion").preprocessing, count))
    random = np.random.default_rng(seed)
    made = np.empty((count, *shape), np.uint8)
    for i, image in enumerate(batch.images):
        large = cv2.resize(image[:, :, 0], (width, height), interpolation=cv2.INTER_LINEAR)
        tint = random.uniform(0.4, 1.0, channels)
        made[i] = (255 - (255 - large[:, :, None].astype(float)) * tint).round()
    return made


def quantize_for(subject: RandomNetwork, recipe_name: str, folder: Path) -> Path:
    """Calibrate and quantise."""
    from calibration.produce import produce
    from calibration.recipe import QuantRecipe

    into = folder / recipe_name
    into.mkdir(parents=True, exist_ok=True)
    recipe = QuantRecipe.parse(recipe_name)
    return produce(subject.model, lambda: [subject.calibration], recipe, into).quantized


def build_and_run(
    subject: RandomNetwork, target: Target, folder: Path, images: Images | None = None
) -> tuple[Logits, EngineOutcome]:
    """Quantise and compile a network; return FP32's logits of these images, else of its own, and INT8's."""
    from targets.reference import ReferenceTarget

    int8 = quantize_for(subject, target.recipe.name, folder)
    engine = folder / target.engine_name
    target.build(int8, engine, subject.model)
    shown = subject.images if images is None else images
    with ReferenceTarget().open(subject.model) as runner:
        fp32 = runner.infer(shown)
    return fp32, outcome(target, engine, int8, shown, fp32)


def coverage_of(int8: Path, integer: bool) -> tuple[float | None, tuple[str, ...]]:
    """Return the share of INT8 arithmetic, and for integer engines the operators left in float."""
    from calibration.coverage import coverage

    found = coverage(int8)
    floats: set[str] = set(found.float_layers)
    if integer:
        from targets.tvm.importer import import_graph
        from targets.tvm.integer_graph import Island

        islands = [op for op in import_graph(int8).operators if isinstance(op, Island)]
        floats = {node.op_type for op in islands for node in op.model.graph.node}
    return found.int8_macs / found.total_macs if found.total_macs else None, tuple(sorted(floats))


def float_time(engine: Path, images: Images) -> float:
    """Return the share of the time of an engine for this machine that its layers in float take."""
    from targets.runtime import native_runner

    with native_runner.open_engine(engine) as runner:
        timed = runner.layer_times(images[0])
    return 1 - sum(one.microseconds for one in timed if one.int8) / sum(one.microseconds for one in timed)


def sqnr_db(found: Logits, expected: Logits) -> float | None:
    """Return 10 log10(sum expected^2 / sum error^2) over all logits; None if they are identical."""
    noise = LogitNoise()
    noise.add(expected, found)
    return noise.sqnr_db
