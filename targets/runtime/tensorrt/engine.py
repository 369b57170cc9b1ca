"""An engine's files on the device, and the key that records what it was built for."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

INT8, FP16 = "int8", "fp16"
CHOICE = "chosen.json"  # which precision `run` uses, written by the build on the device


class EngineProblem(ValueError):
    """An engine that is missing, damaged, or built for something else. The message says what to do."""


@dataclass(frozen=True)
class EngineKey:
    """Everything that decides whether a built engine can be used here."""

    onnx: str  # sha256
    tensorrt: str
    sm: str
    module: str
    l4t: str
    options: str

    def differences(self, built: EngineKey) -> list[str]:
        """Describe the differences from the key `built`: "TensorRT is 10.7.0, was 10.3.0"."""
        names = {"onnx": "the ONNX file", "tensorrt": "TensorRT", "sm": "the GPU", "l4t": "L4T"}
        found = []
        for field in fields(self):
            now, then = getattr(self, field.name), getattr(built, field.name)
            if now != then:
                short = [value[:12] if field.name == "onnx" else value or "none" for value in (now, then)]
                found.append("{} is {}, was {}".format(names.get(field.name, field.name), *short))
        return found


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            found.update(chunk)
    return found.hexdigest()


@dataclass(frozen=True)
class EnginePlace:
    """The files of a precision's engine, below the bundle's folder `engine`."""

    folder: Path
    precision: str

    @property
    def plan(self) -> Path:
        """The serialised engine."""
        return self.folder / (f"{self.precision}.plan")

    @property
    def key_file(self) -> Path:
        """The engine's key and digest."""
        return self.folder / (f"{self.precision}.plan.json")

    def store(self, plan: bytes, key: EngineKey) -> None:
        """Write engine and key, the key last: an engine without a key does not count."""
        self.key_file.unlink(missing_ok=True)
        write(self.plan, plan)
        record = {"key": asdict(key), "sha256": hashlib.sha256(plan).hexdigest()}
        write(self.key_file, json.dumps(record, indent=1).encode())

    def problem(self, key: EngineKey) -> str:
        """Return why there is no engine for `key` here; empty if there is one."""
        if not self.key_file.is_file() or not self.plan.is_file():
            return "not built on this device yet"
        try:
            record = json.loads(self.key_file.read_text())
            built, wanted = EngineKey(**record["key"]), record["sha256"]
        except (ValueError, KeyError, TypeError):
            return "its key cannot be read"
        differences = key.differences(built)
        if differences:
            return "; ".join(differences)
        return "" if digest(self.plan) == wanted else "the file was damaged"


def write(path: Path, data: bytes) -> None:
    """Write a file atomically, also in case of a power failure."""
    scratch = path.with_name(path.name + ".part")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        if scratch.exists():
            scratch.unlink()


def chosen(folder: Path) -> str:
    """Return the precision that the build on the device chose. Raises EngineProblem before there is one."""
    try:
        found: dict[str, Any] = json.loads((folder / CHOICE).read_text())
        return str(found["precision"])
    except OSError:
        raise EngineProblem("there is no engine yet: run ./build_on_device.py on this device") from None
    except (ValueError, KeyError) as error:
        raise EngineProblem("%s is damaged: run ./build_on_device.py again" % (folder / CHOICE)) from error
