"""Builds that are killed, stopped, doubled, dated wrong, or without space."""

import contextlib
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks.disturbed.disturbances import DISTURBANCES, resize, small_disk, stopped, twice
from benchmarks.disturbed.started_commands import Place
from benchmarks.faults import Breach
from pipeline.bundle.contents import verify
from pipeline.cache.digest import file_digest

SETTINGS = "[calibration]\nimages = 16\n[validation]\nimages = 64\n[latency]\nseconds = 0.05\npeer = false\n"
NAME = "resnet20-fashion-reference"
EXACT = ("model.onnx", "ranges.json", "model.int8.onnx", "checks.json")
"""Files of a build that hold no time: they have to be the same."""
KILLS = 4
"""The most kills for each build. The next try is not killed."""


@dataclass
class Builds:
    """Disturbed builds of the embedded network, and the result of an undisturbed one."""

    place: Place
    draw: random.Random
    killed: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def command(self, out: Path) -> list[str]:
        """Return a build into `out`."""
        settings = self.place.folder / "small.toml"
        settings.write_text(SETTINGS)
        return ["build", "--target", "reference", "--config", str(settings), "--out", str(out)]

    def product(self, out: Path) -> Mapping[str, str]:
        """Return the digests of what holds no time. Raises BundleError if the bundle does not verify."""
        verify(out / f"{NAME}.edgec")
        return {name: file_digest(out / NAME / name) for name in EXACT}

    @cached_property
    def seconds(self) -> float:
        """How long an undisturbed build takes."""
        begun = time.monotonic()
        self.place.start(self.command(self.place.folder / "whole")).succeed("an undisturbed build")
        return time.monotonic() - begun

    def run(self, count: int) -> None:
        """Kill builds so often, and disturb a tenth as many in each other way."""
        _ = self.seconds
        wanted, number = self.product(self.place.folder / "whole"), 0
        while self.killed < count:
            for kind in (
                "kill",
                *(DISTURBANCES if sum(self.others.values()) * 10 <= self.killed * 4 else ()),
            ):
                out = self.place.folder / f"out{number}{kind}".replace(" ", "-")
                self._disturb(kind, out, wanted)
                shutil.rmtree(out, ignore_errors=True)  # it may have been the place of a file system
            number += 1

    def _disturb(self, kind: str, out: Path, wanted: Mapping[str, str]) -> None:
        with contextlib.ExitStack() as disk:
            if kind == "kill":
                self._kill(out)
            elif kind == "full disk":
                disk.enter_context(small_disk(out, self.draw.randrange(64, 5000)))
                self.place.start(self.command(out)).code()
                resize(out)
            elif kind == "clock":
                self.place.start_with_jumping_clock(self.command(out)).succeed("a jumping clock")
            else:
                disturb = stopped if kind == "stop" else twice
                disturb(self.place, self.command(out), self.draw.uniform(0, self.seconds))
            if kind != "kill":
                self.others[kind] += 1
            self.place.start(self.command(out)).succeed(f"the build after {kind}")
            if self.product(out) != wanted:
                raise Breach(f"{out}: after {kind} the build ended in other bytes")

    def _kill(self, out: Path) -> None:
        for _ in range(KILLS):
            child = self.place.start(self.command(out))
            if child.ended(self.draw.uniform(0, self.seconds)):
                child.succeed("a build that was not killed")
                return
            child.signal(signal.SIGKILL, alone=self.draw.random() < 0.5)
            child.code()
            self.killed += 1
