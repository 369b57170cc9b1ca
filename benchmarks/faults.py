"""Kills, stops and starves installations and builds at random moments, and tries bundles that must not run.

    python -m benchmarks.faults --tries 1000 --faults 100 [--builds 20] [--json faults.json]

After every fault the invariant is checked, and a breach ends the program:

- installing: `current` leads to a whole version, the old or the new one, and installing again succeeds;
- building: the build that follows ends in the same bytes as one that was never disturbed;
- bundles: nothing is switched to that the trusted key did not sign, or that is older than what was there.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from pipeline.bundle.deploy import installer
from pipeline.bundle.pack import pack
from pipeline.bundle.signing import make_keys, sign_bundle, sign_manifest
from targets.runtime.bundle.archive import ArchiveError, contents
from targets.runtime.bundle.history import HistoryError
from targets.runtime.bundle.install import InstallError, install, recovered
from targets.runtime.bundle.manifest import NAME, Manifest
from targets.runtime.bundle.signature import NAME as SIGNATURE
from targets.runtime.bundle.signature import PublicKey, SignatureError
from tests.attacks.bundles import made_up

PROGRAM = b"import sys; print('{}')\n"
"""Passes its self-test at once: what is tried here is what lies before it."""
INSTALL_FAULTS = ("kill", "stop", "full disk", "two at once", "clock")
ATTACKS = ("exchanged", "downgraded", "stripped", "re-signed", "changed", "renamed")


class Breach(AssertionError):
    """An invariant that did not hold."""


@dataclass(frozen=True)
class Bundles:
    """Bundles of a few files and a machine that trusts one key, below a folder."""

    folder: Path

    @cached_property
    def key(self) -> Path:
        """The private key that is trusted."""
        return self._key("trusted")

    @cached_property
    def other_key(self) -> Path:
        """A private key that nobody trusts."""
        return self._key("other")

    @cached_property
    def public(self) -> PublicKey:
        """The trusted key."""
        return PublicKey.read(self.key.with_suffix(".pub"))

    @cached_property
    def program(self) -> Path:
        """The installer, as devices have it."""
        path = self.folder / "install.pyz"
        path.write_bytes(installer())
        return path

    def make(self, name: str, release: int, size: int = 64) -> Path:
        """Write a signed bundle whose engine is its name, repeated."""
        files = {"engine": name.encode() * size, "run": PROGRAM}
        digests = {path: sha256(data).hexdigest() for path, data in files.items()}
        manifest = made_up(digests, release)
        path = self.folder / f"{name}.edgec"
        pack({**files, NAME: manifest.to_json().encode()}, path, "m-t")
        sign_bundle(path, self.key)
        return path

    def _key(self, name: str) -> Path:
        make_keys(self.folder / f"{name}.key")
        return self.folder / f"{name}.key"


@dataclass
class Tries:
    """How tries with bundles ended."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(ATTACKS, 0)))
    ran_unverified: int = 0


def bundle_tries(bundles: Bundles, seed: int, count: int) -> Tries:
    """Install bundles, most of them attacks, one after the other; count those that should not have been."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    into = bundles.folder / "into"
    tries, release = Tries(), 1
    sound = [bundles.make(f"sound{n}", n) for n in range(1, 8)]
    for number in range(count):
        if number % 10 == 0:
            release = min(release + 1, 7)
            if not _taken(sound[release - 1], into, bundles):
                raise Breach(f"try {number}: a sound bundle was refused")
            tries.accepted += 1
            continue
        attack = ATTACKS[number % len(ATTACKS)]
        path = _attacked(bundles, sound[rng.randrange(release)], attack, rng)
        if attack == "downgraded":
            path = sound[rng.randrange(release - 1)]
        if _taken(path, into, bundles):
            tries.ran_unverified += 1
        else:
            tries.refused[attack] += 1
    return tries


def _taken(bundle: Path, into: Path, bundles: Bundles) -> bool:
    try:
        install(bundle, into, [bundles.public])
    except (ArchiveError, InstallError, SignatureError, HistoryError):
        return False
    return True


def _attacked(bundles: Bundles, sound: Path, attack: str, rng: random.Random) -> Path:
    files = contents(sound)
    evil = bytes(rng.randrange(256) for _ in range(16))
    if attack in ("exchanged", "renamed"):
        name = rng.choice(["engine", "run"]) if attack == "exchanged" else f"runtime/{rng.randrange(99)}.py"
        files[name] = evil
    else:
        files["engine"] = evil
        manifest = Manifest.parse(files[NAME].decode())
        digests = {**manifest.files, "engine": sha256(evil).hexdigest()}
        fields = json.loads(files[NAME]) | {"files": digests, "release": 99}
        files[NAME] = json.dumps(fields).encode()
        if attack == "stripped":
            del files[SIGNATURE]
        elif attack == "re-signed":
            files[SIGNATURE] = sign_manifest(files[NAME], bundles.other_key)
    path = bundles.folder / "attack.edgec"
    pack(files, path, "m-t")
    return path


def installation_fault(bundles: Bundles, fault: str, seed: int) -> None:
    """Disturb one installation, check the invariant, and install again. Raises Breach."""
    rng = random.Random(f"{fault}{seed}")  # noqa: S311 - no secret
    into = bundles.folder / f"into {fault} {seed}"
    old = bundles.make(f"old{fault}{seed}", 1)
    new = bundles.make(f"new{fault}{seed}", 2, 40_000)
    install(old, into, [bundles.public])
    FAULTS[fault](bundles, new, into, rng)
    recovered(into)
    _check(into, {f"old{fault}{seed}", f"new{fault}{seed}"})
    install(new, into, [bundles.public])
    _check(into, {f"new{fault}{seed}"})


def _check(into: Path, allowed: set[str]) -> None:
    version = into / "current"
    Manifest.read(version).check(version)
    engine = (version / "engine").read_bytes().decode()
    if not any(engine.startswith(name) for name in allowed):
        raise Breach(f"{into} has {engine[:40]!r} in use, and not one of {allowed}")


def _start(
    bundles: Bundles, bundle: Path, into: Path, environment: Mapping[str, str] | None = None, first: str = ""
) -> "subprocess.Popen[bytes]":
    words = [
        str(bundles.program),
        str(bundle),
        "--into",
        str(into),
        "--key",
        str(bundles.key.with_suffix(".pub")),
    ]
    command = ["sh", "-c", f'{first}exec "$@"', "sh", sys.executable, *words]
    return subprocess.Popen(
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def _kill(bundles: Bundles, new: Path, into: Path, rng: random.Random) -> None:
    child = _start(bundles, new, into)
    time.sleep(rng.uniform(0, 0.6))
    child.kill()
    child.communicate()


def _stop(bundles: Bundles, new: Path, into: Path, rng: random.Random) -> None:
    child = _start(bundles, new, into)
    time.sleep(rng.uniform(0, 0.4))
    child.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    _check(into, {"old", "new"})
    child.send_signal(signal.SIGCONT)
    if child.wait() != 0:
        raise Breach("an installation that was stopped for a moment failed")


def _full_disk(bundles: Bundles, new: Path, into: Path, rng: random.Random) -> None:
    blocks = rng.randrange(1, 400)  # of 512 bytes: the engine has more
    _, errors = (child := _start(bundles, new, into, first=f"ulimit -f {blocks}; ")).communicate()
    if child.returncode == 0 or b"Traceback" in errors:
        raise Breach(f"a full disk was not an error of one line: {errors[-500:]!r}")


def _two_at_once(bundles: Bundles, new: Path, into: Path, rng: random.Random) -> None:
    children = []
    for _ in range(2):
        children.append(_start(bundles, new, into))
        time.sleep(rng.uniform(0, 0.2))
    for child in children:
        _, errors = child.communicate()
        if child.returncode:
            raise Breach(f"one of two installations failed: {errors[-500:]!r}")


def _clock(bundles: Bundles, new: Path, into: Path, rng: random.Random) -> None:
    """Let every file have a time of another age, as after a clock that jumped: none decides anything."""
    for path in into.rglob("*"):
        moment = rng.uniform(0, 4e9)
        os.utime(path, (moment, moment), follow_symlinks=False)
    child = _start(bundles, new, into)
    _, errors = child.communicate()
    if child.returncode:
        raise Breach(f"after a jump of the clock an installation failed: {errors[-500:]!r}")


FAULTS: Mapping[str, Callable[[Bundles, Path, Path, random.Random], None]] = {
    "kill": _kill,
    "stop": _stop,
    "full disk": _full_disk,
    "two at once": _two_at_once,
    "clock": _clock,
}


def build_faults(folder: Path, count: int) -> int:
    """Kill builds at random moments, finish each, and compare the bundle with an undisturbed one's bytes."""

    def command(out: Path) -> list[str]:
        words = [sys.executable, "-m", "pipeline", "export", "--out", str(out)]
        return [*words, "--output", str(out / "model.onnx")]

    subprocess.run(command(folder / "whole"), check=True, capture_output=True)

    def product(out: Path) -> dict[str, str]:
        made = [path for path in out.rglob("model.onnx") if path.is_file()]
        return {path.name: sha256(path.read_bytes()).hexdigest() for path in made}

    wanted = product(folder / "whole")
    rng = random.Random(1)  # noqa: S311 - no secret
    for number in range(count):
        out = folder / f"killed{number}"
        child = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.2, 6))
        child.kill()
        child.wait()
        subprocess.run(command(out), check=True, capture_output=True)
        if product(out) != wanted:
            raise Breach(f"killed build {number} ended in other bytes")
    return count


def main() -> None:
    """Run them and print what held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--builds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgec-faults-") as scratch:
        bundles = Bundles(Path(scratch))
        tries = bundle_tries(bundles, options.seed, options.tries)
        if tries.ran_unverified:
            raise Breach(f"{tries.ran_unverified} bundles ran that should not have")
        done: Counter[str] = Counter()
        for number in range(options.faults):
            fault = INSTALL_FAULTS[number % len(INSTALL_FAULTS)]
            installation_fault(bundles, fault, options.seed * 100_000 + number)
            done[fault] += 1
        found = {
            "sound bundles installed": tries.accepted,
            "attacks refused": dict(tries.refused),
            "faults while installing": dict(done),
            "builds killed": build_faults(Path(scratch), options.builds) if options.builds else 0,
        }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
