"""The gates on real cases: sound and bad calibrations, too few images, an engine made slower.

    python -m benchmarks.gates_on_real_builds accuracy [--out FOLDER of the cache]
    python -m benchmarks.gates_on_real_builds speed

Uses the embedded Fashion-MNIST model. What was found, and where, stands in docs/validation.md.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.collect import collect
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe
from pipeline.build.plan import Build
from pipeline.config import BuildConfig
from pipeline.data.split import Split
from pipeline.progress import Silent
from pipeline.report import figures
from pipeline.report.gates import drop_gate
from pipeline.report.image_tally import AccuracyTally
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.speed import judge_speed, speed_ratio
from targets.base import EngineRunner, Origin
from targets.reference import ReferenceTarget
from targets.runtime.measure import Settings, measure
from targets.runtime.native_runner import open_engine

MAX_DROP = 1.0
MAX_RATIO = 1.02
REPEATED = 20


@dataclass(frozen=True)
class GateCase:
    """A calibration, good or bad, and the images that accuracy is judged on."""

    name: str
    calibration: Split
    evaluation: Split
    recipe: str = "w8a8_asym"
    darkened: int = 1  # pixels are divided by this


@contextmanager
def opened(build: Build, case: GateCase) -> Iterator[tuple[EngineRunner, EngineRunner]]:
    """Calibrate, quantise, and open both networks."""
    model, recipe = build.float_model.path, QuantRecipe.parse(case.recipe)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        batches = case.calibration.batches(build.model.preprocessing, 16)
        seen = (batch.images // case.darkened for batch in batches)
        int8 = Path(scratch) / "model.int8.onnx"
        quantize(model, collect(model, seen, recipe), recipe, int8)
        yield (
            stack.enter_context(ReferenceTarget().open(model)),
            stack.enter_context(ReferenceTarget().open(int8)),
        )


def judged(build: Build, case: GateCase) -> Gate:
    """Return the accuracy gate of a case."""
    tally = AccuracyTally(len(build.dataset.classes))
    with opened(build, case) as (fp32, int8):
        for batch in case.evaluation.batches(build.model.preprocessing, 64):
            logits = fp32.infer(batch.images), int8.infer(batch.images)
            tally.add(*logits, batch.labels, batch.images, [sample.name for sample in batch.samples])
    return drop_gate(tally.accuracy(Origin.HOST, Origin.HOST).top1, MAX_DROP, Origin.HOST)


def slowed(infer: Callable[[], object], share: float) -> Callable[[], object]:
    """Return the same inference, slowed down by a share of its time."""

    def call() -> object:
        start = time.perf_counter_ns()
        result = infer()
        end = start + (1 + share) * (time.perf_counter_ns() - start)
        while time.perf_counter_ns() < end:
            pass
        return result

    return call


def say(what: str, calls: Sequence[Callable[[], object]]) -> None:
    """Print the ratio of two engines that run alternately and the verdict, then twenty verdicts more."""
    before, after = measure(calls, Settings(max_seconds=5))
    found = speed_ratio(before, after)
    verdict = judge_speed(found, MAX_RATIO)
    took = f"{found.ratio:.3f} {figures.interval(found.interval, 3)} times as long"
    print(f"{what}: {took}, {verdict} at {MAX_RATIO};")
    short = Settings(max_seconds=0.5, max_warmup_seconds=0.2)
    pairs = [measure(calls, short) for _ in range(REPEATED)]
    verdicts = [judge_speed(speed_ratio(before, after), MAX_RATIO) for before, after in pairs]
    counts = ", ".join(f"{verdicts.count(one)} {one}" for one in Verdict)
    print(f"    {REPEATED} times again, half a second each: {counts}", flush=True)


def race(build: Build) -> None:
    """Compare an engine with itself, with a slowed copy, and the float model on two threads and on one."""
    (batch,) = build.evaluation.subset(range(8)).batches(build.model.preprocessing, 8)
    image = batch.images[:1]
    with open_engine(build.engine.path) as engine:
        for share in (0.0, 0.05):
            calls = [lambda: engine.infer(image), slowed(lambda: engine.infer(image), share)]
            say(f"engine slowed by {share:.0%}", calls)
    with ExitStack() as stack:
        model = build.float_model.path
        two, one = (stack.enter_context(ReferenceTarget(threads).open(model)) for threads in (2, 1))
        calls = [lambda: two.infer(batch.images), lambda: one.infer(batch.images)]
        say("8 images on two threads, then on one", calls)


def main() -> None:
    """Print what the gates say."""
    parser = argparse.ArgumentParser(description="Print what the gates say of real cases.")
    parser.add_argument("what", choices=["accuracy", "speed"])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the cache")
    chosen = parser.parse_args()
    build = Build(BuildConfig(out=chosen.out), Silent())
    if chosen.what == "speed":
        race(build)
        return
    whole, few = build.evaluation, build.evaluation.stratified(200)
    trousers = build.calibration.subset(np.flatnonzero(build.calibration.labels == 1)[:10])
    entropy = "w8a8_asym_kl"
    for case in (
        GateCase("512 images calibrated", build.calibration, whole),
        GateCase("the same, 200 images evaluated", build.calibration, few),
        GateCase("10 images of one class calibrated", trousers, whole),
        GateCase("512 images calibrated, by entropy", build.calibration, whole, entropy),
        GateCase("10 images of one class calibrated, by entropy", trousers, whole, entropy),
        GateCase("10 images of one class, almost black", trousers, whole, darkened=128),
    ):
        gate = judged(build, case)
        print(f"{case.name}: drop {gate.value:+.2f} points, {gate.verdict}: {gate.message}", flush=True)


if __name__ == "__main__":
    main()
