"""What sound bundles hold, for attacks to start from."""

import hashlib
import tarfile
from collections.abc import Mapping

from targets.runtime.bundle.manifest import Manifest

ENGINE = b"an engine's bytes"


def manifest(**files: str) -> bytes:
    """A manifest that lists files by their digests."""
    return made_up(files).to_json().encode()


def made_up(digests: Mapping[str, str], release: int = 0) -> Manifest:
    """A sound manifest of a bundle with these files."""
    return Manifest(
        model="m",
        target="t",
        fingerprint="f",
        engine="engine",
        runner="reference_runner",
        classes=("a", "b"),
        preprocessing={},
        files=dict(digests),
        release=release,
    )


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def header(name: str, size: int) -> bytes:
    """The header of a file in a tar that claims to have so many bytes."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf()
