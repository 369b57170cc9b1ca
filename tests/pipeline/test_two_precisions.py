"""A whole build for a device that has an FP16 engine too: both run on every image, one is recommended."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.report.model.image_accuracy import Accuracy
from targets import registry
from targets.base import Check, EngineRunner, Origin
from targets.measure_apart import measure_in_child
from targets.reach.ssh import SshDevice
from targets.reference import ReferenceTarget
from targets.runtime.measure import Measurement, Settings


class Pretended(ReferenceTarget):
    """This machine in the place of a device; its "FP16" is the INT8 graph with all classes swapped about."""

    origin: ClassVar[Origin] = Origin.DEVICE
    runs_here: ClassVar[bool] = False

    def __init__(self, _: SshDevice) -> None:
        super().__init__()
        self.say = print
        self._fp16: Measurement | None = None

    @contextmanager
    def open(self, engine: Path) -> Iterator[EngineRunner]:
        self.say("the device says that it builds")
        with super().open(engine) as runner:
            yield runner

    @contextmanager
    def open_fp16(self, engine: Path) -> Iterator[EngineRunner]:
        with super().open(engine) as runner:
            yield Swapped(runner)

    def measure(
        self, engine: Path, images: NDArray[np.uint8], settings: Settings, threads: int
    ) -> Measurement:
        int8, self._fp16 = measure_in_child([(self.runner, engine)] * 2, images, settings, threads)
        return int8

    def fp16_latency(self) -> Measurement | None:
        return self._fp16

    def findings(self) -> tuple[Check, ...]:
        return ()


class Swapped:
    def __init__(self, runner: EngineRunner) -> None:
        self.runner = runner

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.runner.infer(images)[:, ::-1]


class Listening(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_both_are_validated_on_all_images_and_one_is_recommended(
    quick: Path, warm_out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.REACHED, "reference", Pretended)
    options = {"device": "ssh://nobody@nowhere", "out": warm_out, "validation.max_drop": 50.0}
    listening = Listening()
    build = Build(load_config(BuildConfig, quick, options), listening)
    report = build.report.load()
    fp16 = build.accuracy.load_fp16()
    assert isinstance(report.accuracy, Accuracy)
    assert isinstance(fp16, Accuracy)
    assert fp16.top1.images == report.accuracy.top1.images == 300
    assert fp16.int8_origin is Origin.DEVICE
    found = report.recommendation
    assert found is not None
    assert found.fp16_top1 == fp16.top1.int8 < 0.3
    assert (found.ship, found.int8_accuracy, found.fp16_accuracy) == ("INT8", "pass", "fail")
    assert found.speed.ratio > 0
    assert "the device says that it builds" in listening.lines
    lasting = build.lasting_report.load()
    assert lasting.recommendation is None  # nothing was timed
