"""A made-up build for the tests of reports: figures that hang together, from simulated logits and runs."""

import io
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from rich.console import Console

from benchmarks.latency_false_alarms import interleaved, quiet
from pipeline.data.idx import FASHION_MNIST_CLASSES as CLASSES
from pipeline.report import corruption_loss
from pipeline.report.corruption_loss import RobustnessTally
from pipeline.report.from_measurement import latency_of, memory_of
from pipeline.report.gates import accuracy_gates, drop_gate
from pipeline.report.image_tally import AccuracyTally
from pipeline.report.latency_gates import LatencyLimits
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Interval, NotMeasured
from pipeline.report.model.corrupted_accuracy import Robustness
from pipeline.report.model.float_layers import Coverage, LayerTimes, TimedLayer
from pipeline.report.model.gate import Gate, overall
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.layer_noise import LayerSensitivity
from pipeline.report.model.measured_latency import SpeedRatio
from pipeline.report.model.measured_sizes import Sizes
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.model.subject import Machine, SkippedImage, Subject
from pipeline.report.paired import paired_rate
from pipeline.report.pixel_tally import PixelTally
from pipeline.report.recommend import recommend
from pipeline.report.sections.recommendation import Recommendation
from pipeline.report.speed import speed_ratio
from pipeline.report.terminal import render_terminal
from targets.base import Origin
from targets.runtime.machine import MachineState, PeakMemory
from targets.runtime.measure import Measurement

QUIET = MachineState(("performance",), (2400.0, 2400.0), 51.0, 0, 0.2, 2)


CPU = "AMD EPYC (x86_64 26.2.1, 2 cores)"


def measurement(
    milliseconds: float, runs: int = 600, seed: int = 0, state: MachineState = QUIET, stable: bool = True
) -> Measurement:
    """Simulated runs: log-normal with a spread of 1 % and now and then an interruption."""
    rng = np.random.default_rng(seed)
    times = milliseconds * 1e6 * np.exp(0.01 * rng.standard_normal(runs))
    times[rng.random(runs) < 0.01] *= 1.4
    return Measurement(
        runs_ns=tuple(int(t) for t in times),
        batch=1,
        block=0,
        warmup_runs=60,
        warmup_stable=stable,
        stopped="precise",
        started_unix=1_790_000_000.0,
        before=state,
        after=state,
        memory=PeakMemory(60_000_000, 83_000_000, "VmHWM, reset before opening"),
    )


@cache
def accuracy(classes: tuple[str, ...] = CLASSES, images: int = 10_000, noise: float = 0.1) -> Accuracy:
    """Simulate a network that is right in about nine of ten images, and a noisier copy."""
    rng = np.random.default_rng(3)
    n, k = images, len(classes)
    labels = rng.integers(0, k, n)
    fp32 = rng.standard_normal((n, k)).astype(np.float32)
    fp32[np.arange(n), labels] += 4
    fp32[np.arange(n), (labels + 2) % k] += 1.2
    int8 = fp32 + noise * rng.standard_normal(fp32.shape).astype(np.float32)
    pixels = np.zeros((n, 28, 28, 1), np.uint8)
    for i in range(n):
        cv2.circle(pixels[i], (14, 14), 4 + int(labels[i]), 200, -1)
    tally = AccuracyTally(k)
    tally.add(fp32, int8, labels.astype(np.int64), pixels, [f"t10k/{i:05d}" for i in range(n)])
    return tally.accuracy(Origin.HOST, Origin.HOST)


@cache
def pixel_accuracy(labelled: bool = True) -> PixelAccuracy:
    """Simulate a network that recognises ten classes of pixels, and a noisier copy."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, len(CLASSES), (40, 12, 16))
    fp32 = rng.standard_normal((40, len(CLASSES), 12, 16)).astype(np.float32)
    fp32 += 4 * np.moveaxis(np.eye(len(CLASSES), dtype=np.float32)[truth], -1, 1)
    int8 = fp32 + 0.2 * rng.standard_normal(fp32.shape).astype(np.float32)
    images = rng.integers(0, 256, (40, 24, 32, 3), np.uint8)
    tally = PixelTally(len(CLASSES))
    masks = truth.astype(np.uint8) if labelled else None
    tally.add(fp32, int8, masks, images, [f"test/images/{n:03}.jpg" for n in range(40)])
    return tally.accuracy(Origin.HOST, Origin.HOST)


def pixel_report(labelled: bool = True) -> Report:
    """The report of such a build."""
    found = pixel_accuracy(labelled)
    gates = tuple(accuracy_gates(found, 1.0, None, Origin.HOST))
    return report().replace(accuracy=found, gates=gates, verdict=overall(gates))


def robustness(images: int = 400, harm: float = 0.0) -> Robustness:
    """Simulate a network under two corruptions; INT8 alone fails under fog in a share `harm` of images."""
    rng = np.random.default_rng(4)
    tally = RobustnessTally([(name, severity) for name in ("blur", "fog") for severity in (1, 5)])
    labels = rng.integers(0, 10, images)
    for condition in (None, *tally.conditions):
        fp32 = rng.standard_normal((images, 10)).astype(np.float32)
        fp32[np.arange(images), labels] += 4 if condition is None else 3
        int8 = fp32 + 0.05 * rng.standard_normal(fp32.shape).astype(np.float32)
        if condition is not None and condition[0] == "fog":
            int8[rng.random(images) < harm] *= -1
        tally.add(condition, fp32, int8, labels)
    return corruption_loss.robustness(
        [tally.answers()], Origin.HOST, Origin.EMULATOR, "CIFAR-10-C", seed=0, images_digest=f"{7:064x}"
    )


def report(
    measured: bool = True,
    classes: tuple[str, ...] = CLASSES,
    images: int = 10_000,
    noise: float = 0.1,
    int8_ms: float = 0.42,
    extra_gates: tuple[Gate, ...] = (),
) -> Report:
    """Return a whole report; without `measured`, latency and memory are not measured."""
    found = accuracy(classes, images, noise)
    absent = NotMeasured(reason="no board connected")
    runs = measurement(milliseconds=int8_ms)
    int8 = latency_of(runs, Origin.HOST, threads=1) if measured else absent
    assert runs.memory
    memory = memory_of(runs.memory, Origin.HOST) if measured else absent
    latency_gates = LatencyLimits(p90_ms=1.0, judge="model").gates(int8, None)
    gates = (drop_gate(found.top1, 1.0, Origin.HOST), *latency_gates, *extra_gates)
    digests = [f"{i:064x}" for i in range(1, 7)]
    return Report(
        verdict=overall(gates),
        subject=Subject(
            model="resnet20-fashion",
            target="reference",
            recipe="w8a8_asym_minmax",
            dataset="fashion-mnist",
            classes=classes,
            checkpoint_digest=digests[0],
            model_digest=digests[1],
            int8_model_digest=digests[2],
            engine_digest=digests[3],
            evaluation_digest=digests[4],
            calibration_digest=digests[5],
            evaluation_images=images,
            calibration_images=512,
            skipped_images=(SkippedImage(name="t10k/10001.jpg", reason="JPEG data ends early"),),
        ),
        gates=gates,
        accuracy=found,
        latency_fp32=latency_of(measurement(1.31, seed=1), Origin.HOST, threads=1) if measured else absent,
        latency_int8=int8,
        speed=SpeedRatio(
            ratio=0.321, interval=Interval(low=0.320, high=0.322), rounds=120, effective_rounds=118.0
        )
        if measured
        else None,
        memory_fp32=memory,
        memory_int8=memory,
        sizes=Sizes(checkpoint=1_120_000, model=1_090_000, int8_model=301_000, engine=289_000),
        machines=(
            Machine(origin=Origin.HOST, description=CPU, fingerprint=f"{CPU} / onnxruntime 1.32.0"),
            Machine(origin=Origin.HOST, description=CPU, fingerprint=f"{CPU} / avx512vnni / tvm 0.27.0"),
        ),
        tools={"edgec": "0.1.0", "onnxruntime": "1.32.0", "torch": "2.13.0"},
    )


def printed(shown: Report, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    render_terminal(shown, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


PASSES, FAILS, OPEN = (
    paired_rate(np.array([[100, better], [worse, 9900 - worse]]))
    for better, worse in ((10, 12), (10, 800), (300, 400))
)
"""Rates of an engine against FP32, of which one point of drop is allowed."""


def advised(int8: int = 0, fp16: int = 0, ratio: float = 0.7) -> Recommendation:
    """`int8` and `fp16` choose PASSES, FAILS or OPEN; `ratio` is INT8's time over FP16's."""
    rates = [(PASSES, FAILS, OPEN)[which] for which in (int8, fp16)]
    int8_gates, fp16_gates = ([drop_gate(rate, 1.0, Origin.DEVICE)] for rate in rates)
    slowdowns = quiet(2000, np.random.default_rng(1))
    return recommend(int8_gates, fp16_gates, rates[1], speed_ratio(*interleaved(slowdowns, ratio)))


def everything() -> Report:
    """A report with every optional section."""
    shown = report(noise=0.3)
    return shown.replace(
        coverage=Coverage(
            int8_macs=40_000_000,
            total_macs=40_551_424,
            float_layers=("linear",),
            times=LayerTimes(
                origin=Origin.HOST,
                layers=(
                    TimedLayer(layer="Conv 'stem'", int8=True, macs=40_000_000, microseconds=750.0),
                    TimedLayer(layer="Gemm 'linear'", int8=False, macs=551_424, microseconds=250.0),
                ),
            ),
        ),
        sensitivity=tuple(
            LayerSensitivity(layer=f"layer{i}", sqnr_db=20.0 + i, agreement=0.99, without_sqnr_db=30.0)
            for i in range(8)
        ),
        robustness=robustness(),
        recommendation=advised(),
    )


CASES: dict[str, Callable[[], Report]] = {
    "everything": everything,
    "nothing measured": lambda: report(measured=False),
    "sixty classes": lambda: report(noise=1.0, classes=tuple(f"class number {i}" for i in range(60))),
    "two classes, no flips": lambda: report(noise=0.0, classes=("cat", "dog"), images=300),
}
