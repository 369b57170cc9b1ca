"""Makes files beyond a limit: too long, of too many values, nested too deeply, or too long once unpacked.

Limits of gigabytes are tried with files that only claim so much, others with a lower limit.
"""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.product import Damaged
from pipeline.errors import PipelineError
from pipeline.reading import json_text
from pipeline.report import record
from targets.errors import TargetError
from targets.runtime.bundle.keyring import KeyringError
from targets.runtime.bundle.manifest import ManifestError
from targets.runtime.bundle.signature import SignatureError
from targets.runtime.preprocess import ImageError
from tests.fuzz.readers import put
from tests.fuzz.sound_files import sound

NAMED = (
    PipelineError,
    TargetError,
    ImageError,
    Damaged,
    ManifestError,
    SignatureError,
    KeyringError,
    ValueError,
)
"""ValueError is an engine's: its callers name it."""
Case = Callable[[Path, pytest.MonkeyPatch], object]
"""Makes what is beyond a limit, and reads it."""
Limits = Mapping[str, Mapping[str, Case | str]]
"""For each reader and each kind of limit: what is beyond it, or why it has no such limit."""
DEEP = "[" * 100_000
BY_BYTES = "its bytes bound them"
NO_NEST = "nothing in it is inside something"
NO_PICTURE = "it has no pictures"


def long(path: Path, size: int) -> Path:
    """A sparse file of `size` bytes."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def fewer_values(read: Callable[[Path], object], name: str, text: str) -> Case:
    def case(folder: Path, monkeypatch: pytest.MonkeyPatch) -> object:
        monkeypatch.setattr(json_text.check_values, "__defaults__", (100, json_text.MARKS))
        monkeypatch.setattr(json_text.bounded_json, "__defaults__", (100, None))
        monkeypatch.setattr(record, "REPORT_VALUES", 100)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        return read(put(text.encode(), path))

    return case


def text(read: Callable[[Path], object], name: str, content: bytes | str) -> Case:
    def case(folder: Path, _: pytest.MonkeyPatch) -> object:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        return read(put(content if isinstance(content, bytes) else content.encode(), path))

    return case


def sized(read: Callable[[Path], object], name: str, size: int) -> Case:
    def case(folder: Path, _: pytest.MonkeyPatch) -> object:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        return read(long(path, size))

    return case


def lowered(module: object, name: str, value: int, case: Case) -> Case:
    """The case with a lower limit, where a file beyond the usual one would be large."""

    def with_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> object:
        monkeypatch.setattr(module, name, value)
        return case(folder, monkeypatch)

    return with_limit


def sound_one(reader: str, read: Callable[[Path], object], name: str) -> Case:
    """A file that is read, for a limit that is lowered."""
    return lambda folder, _: read(put(sound(reader, folder), folder / name))


def packed(write: Callable[[zipfile.ZipFile], None], read: Callable[[Path], object], name: str) -> Case:
    def case(folder: Path, _: pytest.MonkeyPatch) -> object:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            write(archive)
        (folder / "classes.txt").write_text("a\nb\n")
        return read(folder / name)

    return case


def zeros(member: str, size: int, before: bytes = b"") -> Callable[[zipfile.ZipFile], None]:
    def write(archive: zipfile.ZipFile) -> None:
        with archive.open(member, "w", force_zip64=True) as file:
            file.write(before)
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))

    return write


def npy(count: int) -> bytes:
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "|u1", "fortran_order": False, "shape": (count,)})
    return written.getvalue()


def json_limits(read: Callable[[Path], object], name: str, most: int) -> dict[str, Case | str]:
    return {
        "bytes": sized(read, name, most + 1),
        "elements": fewer_values(read, name, json.dumps([{}] * 100)),
        "depth": text(read, name, DEEP),
        "pixels": NO_PICTURE,
    }
