"""Installs a bundle: checks it, unpacks it beside the version in use, tests it, and then switches to it.

    python3 edgec-install.pyz BUNDLE --into FOLDER

FOLDER/current is a link to the version in use and FOLDER/previous to the one before; a switch replaces a
link, so there is always a version. What was switched to has to confirm itself, or the links go back; also
after a loss of power, when the next program of the folder starts (or --recover, at boot). Nothing of the
bundle runs before every byte was checked. Needs Python only; the bundle's own program reports what the
self-test needs in addition.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator, Sequence

from ..printable import printable
from . import history, rekey, signature, unconfirmed
from .archive import ArchiveError, OpenBundle, Verified, opened
from .history import HistoryError, Switch
from .keyring import KeyringError
from .manifest import NAME, Manifest, ManifestError
from .signature import PublicKey, SignatureError, trusted_keys
from .unconfirmed import Unconfirmed

KEPT = 3
"""The number of versions that stay on the disk."""
WAIT_SECONDS = 60.0
SELFTEST_SECONDS = 600.0
BUILD_SECONDS = 3600.0
BUILT = "built"
"""The state of an engine in the manifest, if it is already built."""


class InstallError(Exception):
    """The bundle was not installed; the version in use is unchanged."""


def main(arguments: list[str] | None = None) -> int:
    """Install, or switch back. Prints one JSON object; returns the exit code."""
    parser = argparse.ArgumentParser(prog="edgec-install", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path, nargs="?", help="the .edgec file")
    parser.add_argument("--into", type=Path, help="folder that holds the versions")
    parser.add_argument(
        "--key", type=Path, action="append", help="public key (PEM) to trust besides this machine's"
    )
    parser.add_argument("--rollback", action="store_true", help="switch back to the previous version instead")
    parser.add_argument(
        "--allow-downgrade", action="store_true", help="take a lower release than this device has had"
    )
    parser.add_argument(
        "--recover", action="store_true", help="go back to the last version that confirmed itself"
    )
    parser.add_argument(
        "--keys", type=Path, metavar="STATEMENT", help="apply a statement about keys (edgec rekey)"
    )
    options = parser.parse_args(arguments)
    wanted = [options.bundle is not None, options.rollback, options.recover, options.keys is not None]
    if sum(wanted) != 1:
        parser.error("give a bundle, --rollback, --recover or --keys")
    if options.keys is None and options.into is None:
        parser.error("--into says in which folder")
    try:
        if options.keys is not None:
            known = [*trusted_keys(), *(PublicKey.read(path) for path in options.key or ())]
            accepted = rekey.accept(options.keys, signature.own_keys(), known)
            sys.stdout.write(json.dumps({"number": accepted.number, "needed": accepted.needed}) + "\n")
            return 0
        with locked(options.into):
            keys = [*trusted_keys(), *(PublicKey.read(path) for path in options.key or ())]
            returned = recover(options.into)
            if options.recover:
                done = {"returned_from": returned and returned.version}
            elif options.rollback:
                done = rollback(options.into, keys)
            else:
                done = install(options.bundle, options.into, keys, options.allow_downgrade)
    except (InstallError, ArchiveError, HistoryError, KeyringError, SignatureError, OSError) as error:
        sys.stderr.write(printable(f"edgec-install: {error}\n"))
        return 1
    sys.stdout.write(json.dumps(done) + "\n")
    return 0


def install(
    bundle: Path, into: Path, trusted: Sequence[PublicKey] = (), allow_downgrade: bool = False
) -> dict[str, Any]:
    """Check, unpack, test and switch to `bundle`; return what was installed.

    Raises ArchiveError for a bundle that is not sound or not trusted, InstallError if it is too old, its
    self-test fails here, or it does not confirm itself, HistoryError if the history cannot be read; the
    version in use stays.
    """
    with opened(bundle, trusted) as held:
        manifest = held.manifest
        _refuse_expired(manifest)
        lower = manifest.release < history.highest_release(into)
        if lower and not allow_downgrade:
            raise InstallError(
                f"{bundle} is release {manifest.release}, and this device has had release"
                f" {history.highest_release(into)}. To go back on purpose: --allow-downgrade"
            )
        version = into / "versions" / held.digest()[:16]
        new = _unpacked(held, version)
    try:
        if manifest.state != BUILT:
            _build(version)
        tested = run_selftest(version)
    except InstallError:
        if new:
            shutil.rmtree(str(version), ignore_errors=True)
        raise
    _switch(into, version, held.verified, history.DOWNGRADE if lower else history.INSTALL)
    _forget(into)
    return {
        "model": manifest.model,
        "target": manifest.target,
        "version": version.name,
        "signer": held.verified.signer,
        "selftest": tested,
    }


def _refuse_expired(manifest: Manifest) -> None:
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    if manifest.expires is not None and today > manifest.expires:
        raise InstallError(f"this bundle could be installed until {manifest.expires}, and today is {today}")


def _unpacked(held: OpenBundle, version: Path) -> bool:
    """Unpack into a private folder and give it its name when it is whole; return whether it was not there."""
    if version.exists():
        if _is_whole(version, held.manifest):
            return False
        shutil.rmtree(str(version))
    scratch = version.with_name(f".{version.name}")
    shutil.rmtree(str(scratch), ignore_errors=True)
    try:
        scratch.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(mode=0o700)
        held.unpack(scratch)
        held.manifest.check(scratch)
        scratch.chmod(0o755)
        os.sync()
        scratch.rename(version)
    except ManifestError as error:
        raise InstallError(f"what was unpacked is not what was verified: {error}") from error
    finally:
        shutil.rmtree(str(scratch), ignore_errors=True)
    return True


def _is_whole(version: Path, manifest: Manifest) -> bool:
    """Return whether the folder has exactly the files of the verified manifest."""
    try:
        manifest.check(version)
        return Manifest.read(version) == manifest
    except ManifestError:
        return False


def rollback(into: Path, trusted: Sequence[PublicKey] = ()) -> dict[str, Any]:
    """Switch to the previous version, which must be as it was verified and pass its self-test.

    Raises SignatureError if no key trusted here signed it, InstallError if it was changed or its self-test
    fails.
    """
    previous = into / "previous"
    if not previous.exists():
        raise InstallError(f"there is no previous version in {into}")
    version = previous.resolve()
    verified = _verified(version, trusted)
    tested = run_selftest(version)
    _switch(into, version, verified, history.ROLLBACK)
    return {"version": version.name, "selftest": tested}


def _verified(version: Path, trusted: Sequence[PublicKey]) -> Verified:
    """Check an unpacked version as its bundle was checked."""
    signed = version / signature.NAME
    try:
        text = (version / NAME).read_bytes()
        signer = signature.check(text, signed.read_bytes() if signed.exists() else None, trusted)
        manifest = Manifest.parse(text.decode())
        manifest.check(version)
    except (ManifestError, UnicodeDecodeError) as error:
        raise InstallError(f"the previous version cannot be used: {error}") from error
    return Verified(manifest, signed.exists(), signer)


def _build(version: Path) -> None:
    """Build a version's engine, if that is done on the device. Raises InstallError with the output."""
    _run([sys.executable, str(version / "build_on_device.py")], BUILD_SECONDS, "building the engine here")


def run_selftest(version: Path) -> dict[str, Any]:
    """Run the version's self-test in its own process. Raises InstallError with the output."""
    output = _run(
        [sys.executable, str(version / "run"), "selftest", "--json"], SELFTEST_SECONDS, "the self-test"
    )
    try:
        result = json.loads(output)
    except (ValueError, RecursionError):
        result = None
    if not isinstance(result, dict):
        raise InstallError(
            f"the self-test said {output[:100]!r}, which is not a result; nothing was switched"
        )
    return result


def _run(command: Sequence[str], seconds: float, what: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"{what} did not end within {seconds:g} s, so nothing was switched") from None
    if done.returncode:
        output = (done.stderr or done.stdout).strip()[-1000:] or f"it ended with code {done.returncode}"
        raise InstallError(f"{what} failed, so nothing was switched: {output}")
    return done.stdout


def _switch(into: Path, version: Path, verified: Verified, how: str) -> None:
    """Make the version `current`, and the current one `previous`. The history is written first."""
    current = into / "current"
    before = current.resolve() if current.is_symlink() else None
    if before == version.resolve():
        return
    history.record(into, Switch(version.name, verified.manifest.release, how, verified.signer))
    unconfirmed.begin(into, version.name)
    if before is not None and before.exists():
        unconfirmed.link(into / "previous", before.name)
    unconfirmed.link(current, version.name)
    try:
        confirm(current, verified.manifest)
    except InstallError as error:
        _went_back(into)
        raise InstallError(f"{error}. The version before is in use again") from error
    unconfirmed.end(into)


def confirm(current: Path, manifest: Manifest) -> None:
    """Let the version in use confirm the latency that its manifest states, if it states one.

    Raises InstallError if it does not. Its files passed their self-test, at this place, before the switch.
    """
    if manifest.confirm is None:
        return
    inferences, milliseconds = manifest.confirm
    words = ["selftest", "--json", "--inferences", str(inferences), "--within-ms", str(milliseconds)]
    _run([sys.executable, str(current / "run"), *words], SELFTEST_SECONDS, "the new version's confirmation")


def recover(into: Path) -> Unconfirmed | None:
    """Go back from a version that has not confirmed itself, if there is one; return its trial.

    The caller holds the folder, so no installation is under way.
    """
    return _went_back(into) if (into / unconfirmed.NAME).exists() else None


def recovered(into: Path) -> bool:
    """Go back as `recover` does, unless an installation is under way; return whether it went back."""
    try:
        with locked(into, seconds=0):
            return recover(into) is not None
    except (InstallError, OSError):
        return False


def _went_back(into: Path) -> Unconfirmed | None:
    gone = unconfirmed.go_back(into)
    if gone is not None and gone.current is not None:
        with contextlib.suppress(HistoryError):  # switching back matters more than recording it
            release = next((s.release for s in history.switches(into) if s.version == gone.current), 0)
            history.record(into, Switch(gone.current, release, history.RETURN, None))
    return gone


def _forget(into: Path) -> None:
    """Remove the oldest versions without links to them, and remains of failed installations."""
    used = {(into / name).resolve().name for name in ("current", "previous")}
    versions = sorted((into / "versions").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    kept = [path.name for path in versions if not path.name.startswith(".")][:KEPT]
    for path in versions:
        if path.name not in used and path.name not in kept:
            shutil.rmtree(str(path), ignore_errors=True)


@contextlib.contextmanager
def locked(into: Path, seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Lock a folder for one installation at a time; others wait."""
    into.mkdir(parents=True, exist_ok=True)
    with (into / ".lock").open("w") as lock:
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > end:
                    raise InstallError(f"another installation into {into} is under way") from None
                time.sleep(0.1)
        yield
