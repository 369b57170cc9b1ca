"""Copies files to and from a device; a file appears only when it is complete.

The device needs only what busybox has: sh, cat, dd, mv, wc, sha256sum. Partial files are named by their
digest and written by offset, so that two senders of the same file write the same bytes to the same places.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

from targets.errors import ConnectionCut, DeviceCommandFailed, DeviceDiskFull, DeviceError, TargetError
from targets.reach.answers import sensible
from targets.reach.finished import Finished
from targets.reach.streams import Readable

_BEGIN = """
mkdir -p -- "$(dirname -- "$1")" || exit 1
if [ -f "$1" ] && echo "$2  $1" | sha256sum -c >/dev/null 2>&1; then
  chmod "$3" -- "$1" && echo there
  exit
fi
{ wc -c <"$1.$2.part"; } 2>/dev/null || echo 0
"""
_WRITE = 'dd of="$1" obs="$2" seek="$3" conv=notrunc'
BLOCK = 1 << 16
_FINISH = """
echo "$2  $1.$2.part" | sha256sum -c >/dev/null 2>&1 || { rm -f -- "$1.$2.part"; echo changed; exit; }
# after a power failure the name must not exist without its bytes
chmod "$3" -- "$1.$2.part" && { sync "$1.$2.part" 2>/dev/null || sync; } && mv -f -- "$1.$2.part" "$1" &&
  echo done && exit
# another sender of the same file may have moved it into place meanwhile
echo "$2  $1" | sha256sum -c >/dev/null 2>&1 && echo done
"""


class Device(Protocol):
    """The part of a device that copying needs, such as `targets.reach.ssh.SshDevice`."""

    def run(self, argv: Sequence[str], *, stdin: bytes | Readable | None = None) -> Finished:
        """Run a command."""
        ...

    def read(self, argv: Sequence[str]) -> bytes:
        """Run a command that must succeed and return its stdout."""
        ...


def send(device: Device, local: Path, remote: str, on_bytes: Callable[[int], None] | None = None) -> None:
    """See SshDevice.send."""
    advance = on_bytes or (lambda _: None)
    digest, size = file_digest(local), local.stat().st_size
    mode = "755" if os.access(local, os.X_OK) else "644"
    for _ in range(2):  # a partial file of an earlier try may be damaged: then again from the beginning
        begun = _script(device, _BEGIN, remote, digest, mode)
        if begun == "there":
            advance(size)
            return
        with sensible(remote, "how much of it is there"):
            blocks = min(max(0, int(begun)), size) // BLOCK
        advance(blocks * BLOCK)
        with local.open("rb") as file:
            file.seek(blocks * BLOCK)
            part = f"{remote}.{digest}.part"
            _script(device, _WRITE, part, str(BLOCK), str(blocks), stdin=_Counted(file, advance))
        if _script(device, _FINISH, remote, digest, mode) == "done":
            return
        advance(-size)
    raise DeviceError(
        f"{remote} arrived on the device with other bytes than were sent, twice. Is its disk sound?"
    )


def fetch(device: Device, remote: str, local: Path) -> None:
    """See SshDevice.fetch."""
    wanted = _script(device, 'sha256sum <"$1"', remote)[:64]
    content = device.read(["cat", "--", remote])
    if hashlib.sha256(content).hexdigest() != wanted:
        raise ConnectionCut(f"{remote} arrived with other bytes than it has on the device. Try again.")
    local.parent.mkdir(parents=True, exist_ok=True)
    scratch = local.with_name(f".{local.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.replace(local)
    finally:
        scratch.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """Return the sha256 of a file in hex. Raises TargetError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TargetError(f"{path} cannot be read: {error.strerror}.") from error


def _script(device: Device, script: str, *arguments: str, stdin: Readable | None = None) -> str:
    """Run a shell script with arguments on the device; return what it printed. Raises a DeviceError."""
    done = device.run(["sh", "-c", script, "edgec", *arguments], stdin=stdin)
    if done.returncode or "No space left" in done.stderr:
        reason = done.stderr.strip()[-500:] or f"exit code {done.returncode}"
        if "No space left" in reason or "Disk quota exceeded" in reason:
            raise DeviceDiskFull(
                f"The device has no room for {arguments[0]}: {reason}. Free some, and try again."
            )
        raise DeviceCommandFailed(f"{arguments[0]} cannot be copied: {reason}")
    return done.stdout.strip()


class _Counted:
    """A file that reports how many bytes were read."""

    def __init__(self, file: IO[bytes], advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance

    def read(self, size: int, /) -> bytes:
        chunk = self._file.read(size)
        self._advance(len(chunk))
        return chunk
