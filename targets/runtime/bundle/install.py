"""Install a bundle: check it, unpack it beside the version in use, test it, and only then switch.

    python3 edgec-install.pyz BUNDLE --into FOLDER

FOLDER/current is a link to the version in use and FOLDER/previous to the one before; a switch replaces a
link, so there is no moment without a version. Nothing of the bundle runs before every byte was checked. Needs
Python alone; what the self-test needs besides, the bundle's own program says.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, Sequence

from .archive import ArchiveError, unpack, verify
from .manifest import Manifest, ManifestError
from .signature import PublicKey, SignatureError, trusted_keys

KEPT = 3
"""Versions that stay on the disk."""
SELFTEST_SECONDS = 600.0
BUILD_SECONDS = 3600.0
BUILT = "built"
"""What a manifest says of an engine that is built already."""


class InstallError(Exception):
    """The bundle was not installed; the version in use is the one from before."""


def main(arguments: list[str] | None = None) -> int:
    """Install, or switch back. Prints one JSON object; returns the exit code."""
    parser = argparse.ArgumentParser(prog="edgec-install", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path, nargs="?", help="the .edgec file")
    parser.add_argument("--into", type=Path, required=True, help="folder that holds the versions")
    parser.add_argument(
        "--key", type=Path, action="append", help="public key (PEM) to trust besides this machine's"
    )
    parser.add_argument("--rollback", action="store_true", help="switch back to the previous version instead")
    options = parser.parse_args(arguments)
    if (options.bundle is None) != options.rollback:
        parser.error("give a bundle, or --rollback")
    try:
        with _held(options.into):
            if options.rollback:
                done = rollback(options.into)
            else:
                keys = [*trusted_keys(), *(PublicKey.read(path) for path in options.key or ())]
                done = install(options.bundle, options.into, keys)
    except (InstallError, ArchiveError, SignatureError, OSError) as error:
        sys.stderr.write(f"edgec-install: {error}\n")
        return 1
    sys.stdout.write(json.dumps(done) + "\n")
    return 0


def install(bundle: Path, into: Path, trusted: Sequence[PublicKey] = ()) -> dict[str, Any]:
    """Check, unpack, test and switch to `bundle`; return what was installed.

    Raises ArchiveError for a bundle that is not sound or not trusted, InstallError if its self-test fails
    here; in both cases the version in use stays.
    """
    verified = verify(bundle, trusted)
    version = into / "versions" / _digest(bundle)[:16]
    if version.exists() and not _is_whole(version):
        shutil.rmtree(str(version))
    new = not version.exists()
    if new:
        scratch = version.with_name(f".{version.name}")
        shutil.rmtree(str(scratch), ignore_errors=True)
        try:
            scratch.mkdir(parents=True)
            unpack(bundle, scratch)
            os.sync()
            scratch.rename(version)
        finally:
            shutil.rmtree(str(scratch), ignore_errors=True)
    try:
        if verified.manifest.state != BUILT:
            _build(version)
        tested = run_selftest(version)
    except InstallError:
        if new:
            shutil.rmtree(str(version), ignore_errors=True)
        raise
    _switch(into, version)
    _forget(into)
    return {
        "model": verified.manifest.model,
        "target": verified.manifest.target,
        "version": version.name,
        "signer": verified.signer,
        "selftest": tested,
    }


def _is_whole(version: Path) -> bool:
    try:
        Manifest.read(version).check(version)
    except ManifestError:
        return False
    return True


def rollback(into: Path) -> dict[str, Any]:
    """Switch to the previous version, which must pass its self-test. Raises InstallError."""
    previous = into / "previous"
    if not previous.exists():
        raise InstallError(f"there is no previous version in {into}")
    version = previous.resolve()
    tested = run_selftest(version)
    _switch(into, version)
    return {"version": version.name, "selftest": tested}


def _build(version: Path) -> None:
    """Let a version whose engine is built on its device build it. Raises InstallError with what it said."""
    _run([sys.executable, str(version / "build_on_device.py")], BUILD_SECONDS, "building the engine here")


def run_selftest(version: Path) -> dict[str, Any]:
    """Run the version's own self-test in a process of its own. Raises InstallError with what it said."""
    said = _run(
        [sys.executable, str(version / "run"), "selftest", "--json"], SELFTEST_SECONDS, "the self-test"
    )
    result: dict[str, Any] = json.loads(said)
    return result


def _run(command: Sequence[str], seconds: float, what: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise InstallError(f"{what} did not end within {seconds:g} s, so nothing was switched") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1000:] or f"it ended with code {done.returncode}"
        raise InstallError(f"{what} failed, so nothing was switched: {said}")
    return done.stdout


def _switch(into: Path, version: Path) -> None:
    """Let `current` be the version, and `previous` what was current."""
    current = into / "current"
    before = current.resolve() if current.is_symlink() else None
    if before == version.resolve():
        return
    if before is not None and before.exists():
        _link(into / "previous", before)
    _link(current, version)


def _link(link: Path, version: Path) -> None:
    scratch = link.with_name(f".{link.name}")
    with contextlib.suppress(FileNotFoundError):
        scratch.unlink()
    scratch.symlink_to(Path("versions") / version.name)
    scratch.replace(link)


def _forget(into: Path) -> None:
    """Remove the oldest versions, but none that a link names, and what broken installations left."""
    used = {(into / name).resolve().name for name in ("current", "previous")}
    versions = sorted((into / "versions").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    kept = [path.name for path in versions if not path.name.startswith(".")][:KEPT]
    for path in versions:
        if path.name not in used and path.name not in kept:
            shutil.rmtree(str(path), ignore_errors=True)


@contextlib.contextmanager
def _held(into: Path) -> Iterator[None]:
    """Let one installation at a time work on a folder."""
    into.mkdir(parents=True, exist_ok=True)
    with (into / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InstallError(f"another installation into {into} is under way") from None
        yield


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()
