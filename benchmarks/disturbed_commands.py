"""Disturbs whole commands at random moments: `edgec build`, and `edgec deploy` to a real SSH server.

    python -m benchmarks.disturbed_commands [--builds 100] [--deploys 60] [--seed 1] [--json disturbed.json]

A command is killed (alone, or with all that it started), stopped while a second one starts, started twice at
once, given a clock of the day that jumps by years, or a disk that is full, at either end (this needs root,
for small file systems); a deploy's connection is cut. A breach of these ends the program:

- no command ends in a traceback; one that is only stopped, doubled or dated wrong succeeds;
- building: the build that follows ends in the bytes of one that was never disturbed, and its bundle verifies;
- deploying: `current` leads to a whole version, the old or the new one, and deploying again succeeds.

Each build that is killed is one of --builds; a build is killed up to four times before it may finish.
"""

import argparse
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks.faults import Breach
from pipeline.bundle.contents import verify
from pipeline.cache.digest import file_digest
from targets.runtime.bundle.manifest import Manifest
from tests.forked_program import LOADED, be_the_program
from tests.pipeline.bundle.changed_bundles import changed, with_few_images
from tests.targets.reach.sshd import Sshd, make_sshd

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = "[calibration]\nimages = 16\n[validation]\nimages = 64\n[latency]\nseconds = 0.05\npeer = false\n"
NAME = "resnet20-fashion-reference"
EXACT = ("model.onnx", "ranges.json", "model.int8.onnx", "checks.json")
"""Files of a build that hold no time: they have to be the same."""
KILLS = 4
"""At most so many for each build; the next try is left alone."""
DISTURBANCES = ("stop", "two at once", "clock", "full disk")


@dataclass
class Running:
    """A command that was started in a process group of its own."""

    pid: int
    errors: Path

    def ended(self, seconds: float) -> bool:
        """Wait so long. Return whether it ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
            time.sleep(0.02)
        return False

    def signal(self, number: signal.Signals, alone: bool = False) -> None:
        """Send a signal to all of its processes, or to the first alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number) if alone else os.killpg(self.pid, number)

    def code(self) -> int:
        """Wait for its end. Return its exit code. Raises Breach if it ended in a traceback."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if "Traceback" in (said := self.errors.read_text(errors="replace")):
            raise Breach(said[-3000:])
        return code

    def succeed(self, what: str) -> None:
        """Raise Breach if it fails."""
        if code := self.code():
            raise Breach(f"{what}: exit code {code}: {self.errors.read_text(errors='replace')[-2000:]}")


@dataclass
class Place:
    """A folder for what commands say."""

    folder: Path
    started: int = 0

    def start(self, command: Sequence[str]) -> Running:
        """Fork `edgec` from this process, which has loaded everything and has one thread."""
        self.started += 1
        streams = [self.folder / f"{stream}{self.started}" for stream in ("out", "err")]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setsid()
                code = be_the_program([str(self.folder), *command], [str(path) for path in streams])
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        return Running(child, streams[1])

    @cached_property
    def clock(self) -> Path:
        """The clock that jumps, compiled."""
        library = self.folder / "clock.so"
        source = Path(__file__).with_name("jumping_clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", source, "-o", library], check=True)
        return library

    def start_with_jumping_clock(self, command: Sequence[str]) -> Running:
        """Start a new Python, since the clock is chosen when a program is loaded."""
        self.started += 1
        errors = self.folder / f"err{self.started}"
        with errors.open("wb") as stream:
            child = subprocess.Popen(
                [sys.executable, "-m", "pipeline", *command],
                cwd=ROOT,
                env={**os.environ, "LD_PRELOAD": str(self.clock)},
                stdout=subprocess.DEVNULL,
                stderr=stream,
                start_new_session=True,
            )
        child.returncode = 0  # waited for by number, as forks are
        return Running(child.pid, errors)


def stopped(place: Place, command: Sequence[str], delay: float) -> None:
    """Stop a command for a second, in which the same one starts again. Both have to succeed."""
    first = place.start(command)
    first.ended(delay)
    first.signal(signal.SIGSTOP)
    second = place.start(command)
    time.sleep(1)
    first.signal(signal.SIGCONT)
    first.succeed("one that was stopped")
    second.succeed("one beside a stopped one")


def twice(place: Place, command: Sequence[str], delay: float) -> None:
    """Start a command twice. Both have to succeed."""
    first = place.start(command)
    time.sleep(delay)
    place.start(command).succeed("the second of two")
    first.succeed("the first of two")


ENOUGH = 256 << 10
"""KiB of a disk that is not full."""


@contextlib.contextmanager
def small_disk(folder: Path, kibibytes: int = ENOUGH) -> Iterator[None]:
    """A file system of this size at the folder; root alone may do this."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def resize(folder: Path, kibibytes: int = ENOUGH) -> None:
    """Give the file system at the folder another size."""
    subprocess.run(["mount", "-o", f"remount,size={kibibytes}k", folder], check=True)


@dataclass
class Builds:
    """Builds of the embedded network that are disturbed, and what an undisturbed one made."""

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
        """Disturb so many."""
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


def main() -> None:
    """Run them and print what was disturbed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--builds", type=int, default=100)
    parser.add_argument("--deploys", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for name in LOADED:
        importlib.import_module(name)
    draw = random.Random(options.seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory(prefix="edgec-disturbed-") as scratch:
        place = Place(Path(scratch))
        builds = Builds(place, draw)
        builds.run(options.builds)
        found = {"builds killed": builds.killed, "builds disturbed": dict(builds.others)}
        if options.deploys:
            found["deploys disturbed"] = dict(disturbed_deploys(builds, options.deploys))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def disturbed_deploys(builds: Builds, count: int) -> Counter[str]:
    """Disturb so many deploys of what an undisturbed build made. Return how many of each kind."""
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


if __name__ == "__main__":
    main()
