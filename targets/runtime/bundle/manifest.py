"""manifest.json: what a bundle holds, and the sha256 of every file in it."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

NAME = "manifest.json"
EVALUATION = "evaluation.npz"
"""images uint8 [N, H, W, C], labels int64 [N], fp32 and int8: logits float32 [N, classes] of the float model
and the engine; for segmentation, labels [N, h, w] and logits [N, classes, h, w]. picture uint8: a PNG file;
preprocessed uint8 [H, W, C]: the same picture after preprocessing."""
FORMAT = "edgec-bundle"
VERSION = 1
NEWER_FIELDS = {"release": 0, "expires": None, "confirm": None}
"""Fields added to version 1 later, with their defaults; a default is not written."""
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, which are not allowed in names, and halves of characters, which no file can hold."""
SHA256 = re.compile(r"[0-9a-f]{64}")
CHUNK = 1 << 20


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
    release: int = 0  # a device takes no lower one than it has had
    expires: str | None = None  # the last day, as YYYY-MM-DD in UTC, on which a device installs it
    confirm: tuple[int, float] | None = None  # inferences on the device, and the milliseconds of 99 % of them

    def to_json(self) -> str:
        """Return the JSON text."""
        fields = {
            name: value
            for name, value in asdict(self).items()
            if name not in NEWER_FIELDS or value != NEWER_FIELDS[name]
        }
        return json.dumps({"format": FORMAT, "version": VERSION, **fields}, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Manifest:
        """Read the JSON text and check every field. Raises ManifestError."""
        try:
            found = json.loads(text, object_pairs_hook=_unique)
            form = found.pop("format"), found.pop("version")
            if form != (FORMAT, VERSION):
                raise ManifestError(f"it is {form[0]!r} version {form[1]!r}, not {FORMAT} version {VERSION}")
            lists = {
                "classes": _items("classes", found["classes"]),
                "pixels": None if found.get("pixels") is None else _items("pixels", found["pixels"]),
                "confirm": None if found.get("confirm") is None else _items("confirm", found["confirm"]),
            }
            manifest = cls(**{**found, **lists})
            manifest._check_fields()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ManifestError(f"the manifest cannot be used: {error}") from error
        return manifest

    def _check_fields(self) -> None:
        """Raise ValueError or TypeError for a field of a wrong type, or an invalid name."""
        for field in ("model", "target"):
            _check_name(field, getattr(self, field))
        for field in ("fingerprint", "runner", "state"):
            _check_text(field, getattr(self, field))
        if not isinstance(self.preprocessing, dict) or not isinstance(self.files, dict):
            raise TypeError("preprocessing and files have to be objects")
        for name in self.classes:
            _check_text("classes", name)
        for path, digest in self.files.items():
            _check_path("files", path)
            if not isinstance(digest, str) or not SHA256.fullmatch(digest):
                raise ValueError(f"the sha256 of {path!r} is {digest!r}")
        _check_path("engine", self.engine)
        if self.pixels is not None and (
            len(self.pixels) != 2 or not all(_is_count(side) for side in self.pixels)
        ):
            raise ValueError(f"pixels is {self.pixels!r}, not a height and a width")
        self._check_release()

    def _check_release(self) -> None:
        """Raise ValueError or TypeError for a wrong field among those that are given when it is signed."""
        if self.confirm is not None and not _is_confirmation(self.confirm):
            raise ValueError(f"confirm is {self.confirm!r}, not a number of inferences and milliseconds")
        if not _is_count(self.release):
            raise ValueError(f"release is {self.release!r}, not a number from 0 on")
        if self.expires is not None:
            _check_text("expires", self.expires)
            if f"{datetime.datetime.strptime(self.expires, '%Y-%m-%d'):%Y-%m-%d}" != self.expires:
                raise ValueError(f"expires is {self.expires!r}, not a day as in 2030-01-31")

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
            if _digest(path) != wanted:
                raise ManifestError(f"the bundle was changed: {name} is not the file that was validated")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Raises ValueError for a name that it has twice: readers would differ on it."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is in it twice")
        found[name] = value
    return found


def _items(field: str, value: object) -> tuple[Any, ...]:
    """Return the items of a JSON array: a text has letters and an object keys, which are not items."""
    if not isinstance(value, list):
        raise TypeError(f"{field} has {value!r}, which is not a list")
    return tuple(value)


def _check_text(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{field} has {value!r}, which is not text")
    if CONTROL.search(value):
        raise ValueError(f"{field} has control characters: {value!r}")


def _check_name(field: str, value: object) -> None:
    """Check what becomes the name of a folder and an argument of programs."""
    _check_text(field, value)
    if not value or "/" in str(value) or str(value).startswith((".", "-")) or len(str(value).encode()) > 200:
        raise ValueError(f"{field} is {value!r}, which cannot be the name of a folder")


def _check_path(field: str, value: object) -> None:
    _check_text(field, value)
    if {"", ".", ".."} & set(str(value).split("/")):
        raise ValueError(f"{field} has {value!r}, which is not a path below the bundle's folder")


def _is_confirmation(value: Any) -> bool:
    number, most = value if len(value) == 2 else (0, 0)
    sound = _is_count(number) and isinstance(most, (int, float)) and not isinstance(most, bool)
    return sound and 1 <= number <= 1_000_000 and 0 < most < 1e9


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
