"""Deploying a bundle to a device over SSH: send it, check and test it there, then switch to it."""

import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.bundle.contents import verify
from pipeline.errors import BundleError
from pipeline.progress import Progress
from targets.base import EngineKind
from targets.devices import jetsons
from targets.errors import DeviceError
from targets.reach.answers import checked, json_answer, sensible
from targets.reach.probe import BoardFacts, probe
from targets.reach.ssh import SshDevice
from targets.reach.transfer import file_digest
from targets.reach.zip_program import program
from targets.registry import kind_of_engine
from targets.runtime.bundle.manifest import Manifest
from targets.runtime.bundle.signature import PublicKey
from targets.runtime.cpu import NEEDED

FOLDER = "edgec"
"""The folder on the device, relative to the home folder."""
_TAKE = """
ln -- "$1" "$2" || cp -- "$1" "$2" || exit 1
rm -f -- "$1"
find "$(dirname -- "$1")" -name '*.edgec*' -mtime +1 -exec rm -f -- {} + 2>/dev/null
true
"""
"""Moves the received file to its own name, and removes leftovers of interrupted transfers after a day."""
SPARE = 2
"""A bundle needs room packed and unpacked."""


@dataclass(frozen=True)
class Deployed:
    """The version in use on a device after deploying; `selftest` is the output of its self-test."""

    device: str
    folder: str
    version: str
    selftest: dict[str, object]


def deploy(
    device: SshDevice,
    bundle: Path,
    trusted: Sequence[PublicKey],
    progress: Progress,
    *,
    allow_downgrade: bool = False,
) -> Deployed:
    """Install `bundle` on `device`. If anything fails, the version in use stays in use.

    The bundle is checked on this machine and again on the device, with the `trusted` keys and those of the
    device; the checking code comes from this machine, not from the bundle. The self-test runs on the device
    before the switch. If the connection is lost, calling this again resumes. Raises BundleError or a
    DeviceError.
    """
    manifest = verify(bundle, trusted).manifest
    facts = probe(device)
    lacks = [*_misfit(manifest, facts), *facts.missing()]
    if lacks:
        other = "" if facts.numpy and facts.opencv else " If another Python there has it, give --python."
        raise DeviceError(f"{device.address} cannot run a bundle: {'; '.join(lacks)}.{other}")
    size = bundle.stat().st_size
    if facts.free_bytes < SPARE * size:
        raise DeviceError(
            f"{device.address} has {facts.free_bytes / 2**20:.0f} MiB free; the bundle needs about"
            f" {SPARE * size / 2**20:.0f} MiB. Free some."
        )
    folder = f"{FOLDER}/{manifest.model}-{manifest.target}"
    incoming = _sent(device, bundle, size, progress)
    try:
        with progress.task(f"check, test and switch on {device.address}", None):
            words = [incoming, "--allow-downgrade"] if allow_downgrade else [incoming]
            return _run_installer(device, folder, words, trusted)
    finally:
        with suppress(DeviceError):
            device.run(["rm", "-f", "--", incoming])


def _misfit(manifest: Manifest, facts: BoardFacts) -> list[str]:
    """Return why the processor cannot run a bundle's engine, which is known before anything is sent."""
    if kind_of_engine(manifest.runner) is EngineKind.PROCESSOR_CODE:
        words = manifest.fingerprint.split(" / ")  # CPU targets name the instruction set among others
        isa = next((word for word in words if word in NEEDED), None)
        return facts.misfit(isa, manifest.target) if isa else []
    if manifest.target in jetsons() and facts.machine != "aarch64":
        return [f"it is {facts.machine}, and a Jetson is aarch64"]
    return []


def _sent(device: SshDevice, bundle: Path, size: int, progress: Progress) -> str:
    """Send a bundle and return its path on the device, a name that no other process uses or removes."""
    shared = f"{FOLDER}/incoming/{file_digest(bundle)[:16]}.edgec"
    own = shared.replace(".edgec", f".{secrets.token_hex(8)}.edgec")
    for _ in range(2):  # another sender of the same bundle may remove the shared one in between
        with progress.task(f"send to {device.address}", size) as advance:
            device.send(bundle, shared, advance)
        taken = device.run(["sh", "-c", _TAKE, "edgec", shared, own])
        if not taken.returncode:
            return own
    raise DeviceError(f"{device.address} did not keep {shared}: {taken.stderr.strip()}")


def roll_back(device: SshDevice, name: str, trusted: Sequence[PublicKey], progress: Progress) -> Deployed:
    """Switch `name` on the device back to the version before, if that is sound and passes its self-test.

    It has to be signed with one of the `trusted` keys or of the device's own, if there are any. Raises
    BundleError if it does not, and a DeviceError if the device cannot be reached.
    """
    with progress.task(f"test and switch back on {device.address}", None):
        return _run_installer(device, f"{FOLDER}/{name}", ["--rollback"], trusted)


def _run_installer(
    device: SshDevice, folder: str, arguments: list[str], trusted: Sequence[PublicKey]
) -> Deployed:
    with tempfile.TemporaryDirectory(prefix="edgec-deploy-") as scratch:
        local = Path(scratch) / "install.pyz"
        local.write_bytes(installer())
        program = f"{FOLDER}/incoming/{file_digest(local)[:16]}.pyz"
        device.send(local, program)
        keys = []
        for key in trusted:
            remote = f"{FOLDER}/incoming/{key.key.hex()[:16]}.pub"
            (Path(scratch) / "key.pub").write_text(key.pem)
            device.send(Path(scratch) / "key.pub", remote)
            keys += ["--key", remote]
    done = device.run([device.address.python, program, *arguments, "--into", folder, *keys])
    if done.returncode:
        reason = done.stderr.strip().removeprefix("edgec-install: ") or f"exit code {done.returncode}"
        raise BundleError(f"{device.address} did not install the bundle: {reason}")
    with sensible(device.address, "the installed version"):
        result = json_answer(done.stdout)
        place = {"device": str(device.address), "folder": folder}
        return checked(Deployed, {**place, "version": result["version"], "selftest": result["selftest"]})


def installer() -> bytes:
    """Return edgec-install.pyz: one file that checks and installs bundles, for Python 3.8 or later."""
    return program("bundle.install")
