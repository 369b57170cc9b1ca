"""The gates on real cases: a sound calibration, bad ones, too few images, and an engine made 5 % slower.

    python -m benchmarks.gates_on_real_builds [FOLDER for the cache]

Uses the embedded Fashion-MNIST model, recipe w8a8_asym, the reference target and a limit of 1 point. Found on
2 shared cores (accuracy is the same on every machine with the same onnxruntime):

    512 images calibrated, 10,000 evaluated     drop +0.08  [-0.02, 0.19]   pass
    the same, 200 evaluated                     drop  0.00  [-1.88, 1.88]   inconclusive, 778 would decide
    10 images of one class calibrated           drop +0.04  [-0.08, 0.16]   pass: this network does not mind
    the same, taken almost without light        drop +38.03 [37.01, 39.05]  fail
    an engine against itself                    1.001 [0.995, 1.007] times as long, pass at 1.02
    against itself, slowed by 5 %               1.054 [1.042, 1.066] times as long, fail at 1.02
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.collect import collect
from calibration.qdq import quantize
from pipeline.config import BuildConfig
from pipeline.data.split import Split
from pipeline.plan import Build
from pipeline.progress import Silent
from pipeline.report.accuracy import AccuracyTally
from pipeline.report.gates import drop_gate
from pipeline.report.model import Gate
from pipeline.report.speed import judge_speed, speed_ratio
from targets.base import Origin, Runner
from targets.reference import ReferenceTarget
from targets.runtime.measure import Settings, measure

MAX_DROP = 1.0
MAX_RATIO = 1.02


@contextmanager
def opened(build: Build, calibration: Split, darkened: int = 1) -> Iterator[tuple[Runner, Runner]]:
    """Calibrate on these images, with pixels divided by `darkened`, quantise, and open both networks."""
    model = build.float_model.file("model.onnx")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        batches = (batch.images // darkened for batch in calibration.batches(build.model.preprocessing, 16))
        int8 = Path(scratch) / "model.int8.onnx"
        quantize(model, collect(model, batches, build.recipe), build.recipe, int8)
        yield (
            stack.enter_context(ReferenceTarget().open(model)),
            stack.enter_context(ReferenceTarget().open(int8)),
        )


def judged(build: Build, evaluation: Split, calibration: Split, darkened: int = 1) -> Gate:
    """Return the accuracy gate for a network calibrated on these images."""
    tally = AccuracyTally(len(build.dataset.classes))
    with opened(build, calibration, darkened) as (fp32, int8):
        for batch in evaluation.batches(build.model.preprocessing, 64):
            logits = fp32.infer(batch.images), int8.infer(batch.images)
            tally.add(*logits, batch.labels, batch.images, [sample.name for sample in batch.samples])
    return drop_gate(tally.accuracy(Origin.HOST, Origin.HOST).top1, MAX_DROP, Origin.HOST)


def slowed(infer: Callable[[], object], share: float) -> Callable[[], object]:
    """Return the same inference that dawdles for a share of the time it took."""

    def call() -> object:
        start = time.perf_counter_ns()
        result = infer()
        end = start + (1 + share) * (time.perf_counter_ns() - start)
        while time.perf_counter_ns() < end:
            pass
        return result

    return call


def race(build: Build, image: NDArray[np.uint8]) -> None:
    """Compare an engine with itself and with itself made slower."""
    with opened(build, build.calibration) as (_, int8):
        for share in (0.0, 0.05):
            pair = measure(
                [lambda: int8.infer(image), slowed(lambda: int8.infer(image), share)],
                Settings(max_seconds=10),
            )
            found = speed_ratio(pair[0], pair[1])
            low, high = found.interval.low, found.interval.high
            print(
                f"engine slowed by {share:.0%}: {found.ratio:.3f} [{low:.3f}, {high:.3f}] times as long; ",
                end="",
            )
            print(f"{judge_speed(found, MAX_RATIO)} at the limit {MAX_RATIO}")


def main() -> None:
    """Print what the gates say."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out")
    build = Build(BuildConfig(out=folder), Silent())
    trousers = build.calibration.subset(np.flatnonzero(build.calibration.labels == 1)[:10])
    few = build.evaluation.stratified(200)
    for name, evaluation, calibration, darkened in (
        ("512 images calibrated", build.evaluation, build.calibration, 1),
        ("the same, 200 images evaluated", few, build.calibration, 1),
        ("10 images of one class calibrated", build.evaluation, trousers, 1),
        ("the same, taken almost without light", build.evaluation, trousers, 128),
    ):
        gate = judged(build, evaluation, calibration, darkened)
        print(f"{name}: drop {gate.value:+.2f} points, {gate.verdict}: {gate.message}")
    batch = next(build.evaluation.subset(range(1)).batches(build.model.preprocessing, 1))
    race(build, batch.images)


if __name__ == "__main__":
    main()
