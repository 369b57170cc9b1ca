"""An engine's files on the device, and the key that records what it was built for."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from ..sustained.choice_file import CHOICE
from .ownership import give_to_the_folders_owner

if TYPE_CHECKING:
    from pathlib import Path

INT8, FP16 = "int8", "fp16"


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
            same = is_same_version(now, then) if field.name == "tensorrt" else now == then
            if not same:
                short = [value[:12] if field.name == "onnx" else value or "none" for value in (now, then)]
                found.append("{} is {}, was {}".format(names.get(field.name, field.name), *short))
        return found


def is_same_version(one: str, other: str) -> bool:
    """Compare versions of TensorRT, of which trtexec prints three numbers and Python's module four."""
    numbers = one.split("."), other.split(".")
    known = min(map(len, numbers))
    return one == other or (known >= 3 and numbers[0][:known] == numbers[1][:known])


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            found.update(chunk)
    return found.hexdigest()


@dataclass(frozen=True)
class EnginePlace:
    """The files of a candidate's engine, below the bundle's folder `engine`."""

    folder: Path
    name: str

    @property
    def plan(self) -> Path:
        """The serialised engine."""
        return self.folder / (f"{self.name}.plan")

    @property
    def key_file(self) -> Path:
        """The engine's key and digest."""
        return self.folder / (f"{self.name}.plan.json")

    @property
    def refusal_file(self) -> Path:
        """Why there is no engine, so that minutes are not spent on it again."""
        return self.folder / (f"{self.name}.refused.json")

    def refuse(self, key: EngineKey, problem: str) -> None:
        """Record that no engine could be built for this key."""
        write(self.refusal_file, json.dumps({"key": asdict(key), "problem": problem}).encode())

    def refusal(self, key: EngineKey) -> str:
        """Return why no engine could be built for this key; empty if that was not tried."""
        try:
            record = json.loads(self.refusal_file.read_text())
            same = not key.differences(EngineKey(**record["key"]))
            return str(record["problem"]) if same else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def store(self, plan: bytes, key: EngineKey, power_mode: str) -> None:
        """Write engine and key, the key last: an engine without a key does not count."""
        self.key_file.unlink(missing_ok=True)
        write(self.plan, plan)
        digest_of_plan = hashlib.sha256(plan).hexdigest()
        record = {"key": asdict(key), "power_mode": power_mode, "sha256": digest_of_plan}
        write(self.key_file, json.dumps(record, indent=1).encode())

    def problem(self, key: EngineKey, power_mode: str | None = None) -> str:
        """Return why there is no engine for `key` here; empty if there is one.

        With `power_mode` it also has to be built in that mode: it runs in others, but its kernels were chosen
        by their times in one.
        """
        if not self.key_file.is_file() or not self.plan.is_file():
            return "not built on this device yet"
        try:
            record = json.loads(self.key_file.read_text())
            built, wanted, mode = EngineKey(**record["key"]), record["sha256"], record["power_mode"]
        except (ValueError, KeyError, TypeError):
            return "its key cannot be read"
        differences = key.differences(built)
        if power_mode is not None and power_mode != mode:
            differences.append(f"the power mode is {power_mode or 'none'}, was {mode or 'none'}")
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
        give_to_the_folders_owner(scratch)
        scratch.replace(path)
    finally:
        if scratch.exists():
            scratch.unlink()


@dataclass(frozen=True)
class EngineChoice:
    """What the build on the device chose for `run` to use."""

    precision: str
    in_place: bool
    """Whether the GPU reads pixels where they are: see shared_memory.py."""
    why: str

    def write(self, folder: Path) -> None:
        """Write it into the folder of engines."""
        write(folder / CHOICE, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, folder: Path) -> EngineChoice:
        """Read it from the folder of engines. Raises EngineProblem before there is one."""
        try:
            return cls(**json.loads((folder / CHOICE).read_text()))
        except OSError:
            raise EngineProblem("there is no engine yet: run ./build_on_device.py on this device") from None
        except (ValueError, TypeError) as error:
            raise EngineProblem(
                "%s is damaged: run ./build_on_device.py again" % (folder / CHOICE)
            ) from error
