"""Deploys to an SSH server that are killed, cut off, stopped, doubled, dated wrong, or without space."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.disturbed.disturbances import DISTURBANCES, resize, small_disk, stopped, twice
from benchmarks.disturbed.disturbed_builds import NAME, Builds
from benchmarks.disturbed.started_commands import Place
from benchmarks.faults import Breach
from pipeline.bundle.contents import verify
from targets.runtime.bundle.manifest import Manifest
from tests.pipeline.bundle.changed_bundles import changed, with_few_images
from tests.targets.reach.sshd import Sshd, make_sshd


@dataclass
class Deploys:
    """Deploys to an SSH server that are disturbed."""

    place: Place
    draw: random.Random
    bundle: Path
    server: Sshd
    done: Counter[str] = field(default_factory=Counter)
    seconds: float = 0

    def command(self, bundle: Path) -> list[str]:
        """Return a deploy of this bundle."""
        return ["deploy", str(bundle), "--device", str(self.server.address)]

    def version(self, number: int) -> Path:
        """Return another version of the bundle."""
        made = changed(
            self.bundle, lambda files: files.update({"labels.txt": files["labels.txt"] + b"\n" * number})
        )
        return made.rename(self.place.folder / f"version{number}.edgec")

    def run(self, count: int) -> None:
        """Disturb `count` deploys."""
        begun = time.monotonic()
        old = self.version(1)
        self.place.start(self.command(old)).succeed("an undisturbed deploy")
        self.seconds = time.monotonic() - begun
        kinds = ("kill", "cut", *DISTURBANCES)
        for number in range(count):
            kind = kinds[number % len(kinds)]
            new = self.version(number + 2)
            self._disturb(kind, new)
            self.done[kind] += 1
            self._check(old, new)
            self.place.start(self.command(new)).succeed(f"the deploy after {kind}")
            self._check(new)
            old = new

    def _check(self, *allowed: Path) -> None:
        """Raise Breach unless one of these is in use, and whole."""
        version = self.server.home / "edgec" / NAME / "current"
        found = Manifest.read(version)
        found.check(version)
        if found.files not in [verify(bundle).manifest.files for bundle in allowed]:
            raise Breach(f"{version} is none of {allowed}")

    def _disturb(self, kind: str, new: Path) -> None:
        command, delay = self.command(new), self.draw.uniform(0, self.seconds)
        if kind in ("kill", "cut"):
            child = self.place.start(command)
            if not child.ended(delay):
                self.server.cut() if kind == "cut" else child.signal(signal.SIGKILL)
            child.code()
        elif kind == "clock":
            self.place.start_with_jumping_clock(command).succeed("a jumping clock")
        elif kind == "full disk":
            folder = self.server.home / "edgec"
            used = sum(path.stat().st_blocks for path in folder.rglob("*") if not path.is_symlink()) // 2
            resize(folder, used + self.draw.randrange(16, 3000))
            self.place.start(command).code()
            resize(folder)
        else:
            (stopped if kind == "stop" else twice)(self.place, command, delay)


def disturbed_deploys(builds: Builds, count: int) -> Counter[str]:
    """Disturb `count` deploys of an undisturbed build's bundle. Return how many of each kind."""
    _ = builds.seconds
    folder = builds.place.folder
    whole = Path(shutil.copy(folder / "whole" / f"{NAME}.edgec", folder))
    bundle = with_few_images(whole).rename(folder / "few-images.edgec")
    (folder / "sshd").mkdir()
    server = make_sshd(folder / "sshd")
    os.environ["EDGEC_SSH_CONFIG"] = str(server.config)
    server.start()
    server.give_this_python(folder / "bin")
    try:
        with small_disk(server.home / "edgec"):
            deploys = Deploys(builds.place, builds.draw, bundle, server)
            deploys.run(count)
            return deploys.done
    finally:
        server.cut()
        server.stop()
