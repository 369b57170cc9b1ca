"""Writes archives whose bytes depend only on the contents."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

PROGRAM = "run"
"""The program at the top of a bundle."""
BUILDER = "build_on_device.py"
"""The program that builds the engine on the device, where the bundle has none."""


def pack(files: Mapping[str, bytes], archive: Path, top: str) -> None:
    """Write `files` below the folder `top` of a tar.gz without times or owners, sorted by name."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size = len(data)
            entry.mode = 0o755 if name in (PROGRAM, BUILDER) or data.startswith(b"\x7fELF") else 0o644
            tar.addfile(entry, io.BytesIO(data))
