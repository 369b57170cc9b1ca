"""manifest.json: what a bundle holds, and the sha256 of every file in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

NAME = "manifest.json"
FORMAT = "edgec-bundle"
VERSION = 1


class ManifestError(ValueError):
    """The bundle is incomplete, changed, or made for another version."""


@dataclass(frozen=True)
class Manifest:
    """The contents of a bundle: paths are relative to its folder, digests are sha256 in hex."""

    model: str
    target: str
    fingerprint: str  # of the device and toolchain the engine was built and validated with
    engine: str  # path of the engine
    runner: str  # module of the runtime that opens it
    classes: tuple[str, ...]
    preprocessing: dict[str, Any]
    files: dict[str, str]
    pixels: tuple[int, int] | None = None  # height and width of the output if it has a class for each pixel
    state: str = "built"  # or "not built on device": the engine's place holds what a device builds it from

    def to_json(self) -> str:
        """Return the JSON text."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Manifest:
        """Read the JSON text. Raises ManifestError."""
        try:
            found = json.loads(text)
            form = found.pop("format"), found.pop("version")
            if form != (FORMAT, VERSION):
                raise ManifestError(f"it is {form[0]} version {form[1]}, not {FORMAT} version {VERSION}")
            pixels = found.get("pixels")
            lists = {
                "classes": tuple(found["classes"]),
                "pixels": pixels and (int(pixels[0]), int(pixels[1])),
            }
            return cls(**{**found, **lists})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ManifestError(f"the manifest cannot be used: {error}") from error

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read `folder`/manifest.json. Raises ManifestError."""
        try:
            return cls.parse((folder / NAME).read_text(encoding="utf-8"))
        except OSError as error:
            raise ManifestError(f"{folder / NAME} cannot be read: {error}") from error

    def check(self, folder: Path) -> None:
        """Compare every file with its digest. Raises ManifestError naming the first that differs."""
        for name, wanted in self.files.items():
            path = folder / name
            if not path.is_file():
                raise ManifestError(f"the bundle is incomplete: {name} is missing")
            if hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
                raise ManifestError(f"the bundle was changed: {name} is not the file that was validated")
