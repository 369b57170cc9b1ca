"""What sound bundles hold, for attacks to start from."""

import hashlib

from targets.runtime.bundle.manifest import Manifest

ENGINE = b"an engine's bytes"


def manifest(**files: str) -> bytes:
    whole = Manifest(
        model="m",
        target="t",
        fingerprint="f",
        engine="engine",
        runner="reference_runner",
        classes=("a", "b"),
        preprocessing={},
        files=files,
    )
    return whole.to_json().encode()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
