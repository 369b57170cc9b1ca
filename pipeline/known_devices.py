"""The devices that the user has named: a TOML file with one table for each."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.errors import did_you_mean
from pipeline.cache.store import writing
from pipeline.errors import UsageError
from pipeline.reading.toml_file import bounded_toml
from targets.errors import DeviceAddressError
from targets.reach.ssh import SshAddress
from targets.runtime.named_folder import WrongVariable, named_folder

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
ANY = "any:"
"""Before a label: any of the devices that have it."""


def devices_file() -> Path:
    """Return the path of that file. Raises UsageError if XDG_CONFIG_HOME can name no folder."""
    try:
        return named_folder("XDG_CONFIG_HOME", Path.home() / ".config") / "edgec" / "devices.toml"
    except WrongVariable as error:
        raise UsageError(str(error)) from error


@dataclass(frozen=True)
class KnownDevice:
    """A name, where the device is, and what it can stand in for: devices with a label in common are alike."""

    name: str
    address: SshAddress
    labels: tuple[str, ...] = ()


def known_devices(file: Path | None = None) -> dict[str, KnownDevice]:
    """Return all named devices. Raises UsageError if the file is not valid."""
    path = file or devices_file()
    try:
        tables = bounded_toml(path)
        return {
            name: KnownDevice(name, _address(name, table), _labels(name, table))
            for name, table in tables.items()
        }
    except FileNotFoundError:
        return {}
    except (
        OSError,
        ValueError,
        RecursionError,
        KeyError,
        TypeError,
        AttributeError,
        DeviceAddressError,
    ) as error:
        raise UsageError(
            f'{path} cannot be used: {error}. Expected: [name] with address = "ssh://...",'
            ' and perhaps python = "/path/to/python3" and labels = ["pi5"].'
        ) from error


def _address(name: str, table: dict[str, Any]) -> SshAddress:
    if not all(isinstance(table.get(key, ""), str) for key in ("address", "python")):
        raise ValueError(f"address and python of {name} are not texts")
    return SshAddress.parse(table["address"]).with_python(table.get("python"))


def _labels(name: str, table: dict[str, Any]) -> tuple[str, ...]:
    found = table.get("labels", [])
    if not isinstance(found, list) or not all(isinstance(one, str) and NAME.fullmatch(one) for one in found):
        raise ValueError(f"labels of {name} are not a list of names")
    return tuple(found)


def add_device(
    name: str, address: SshAddress, file: Path | None = None, labels: Sequence[str] | None = None
) -> Path:
    """Add a named device, or change its address, and its labels if given; return the path of the file.

    Raises UsageError for names with other characters, and if the file is not valid.
    """
    for one in (name, *(labels or ())):
        if not NAME.fullmatch(one):
            raise UsageError(
                f"{one!r} cannot be the name of a device or its label: use lower-case letters, digits, -"
                " and _."
            )
    path = file or devices_file()
    known = known_devices(path)
    kept = known[name].labels if labels is None and name in known else tuple(labels or ())
    devices = {**known, name: KnownDevice(name, address, kept)}
    with writing(path.parent, "XDG_CONFIG_HOME"):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        scratch.write_text(
            "".join(_table(device) for _, device in sorted(devices.items())),
        )
        scratch.replace(path)
    return path


def _table(device: KnownDevice) -> str:
    labels = f"labels = {json.dumps(device.labels)}\n" if device.labels else ""
    return f'[{device.name}]\naddress = "{device.address}"\n{labels}\n'


def labelled(text: str) -> list[KnownDevice]:
    """Return the devices that "any:LABEL" stands for, none for another text. Raises UsageError."""
    if not text.startswith(ANY):
        return []
    label, devices = text.removeprefix(ANY), known_devices()
    found = [device for device in devices.values() if label in device.labels]
    if not found:
        there = sorted({one for device in devices.values() for one in device.labels})
        raise UsageError(
            f"No device has the label {label!r}.{did_you_mean(label, there)} Labels:"
            f" {', '.join(there) or 'none'}. Give one: edgec devices add NAME ssh://user@host --label"
            f" {label or 'pi5'}"
        )
    return found


def find_device(text: str) -> SshAddress:
    """Return the address of a named device, of an ssh:// URL, or of the first that "any:LABEL" stands for.

    Raises UsageError, DeviceAddressError.
    """
    if alike := labelled(text):
        return alike[0].address
    if "://" in text:
        return SshAddress.parse(text)
    devices = known_devices()
    if text not in devices:
        names = ", ".join(devices) or "none yet"
        raise UsageError(
            f"Unknown device {text!r}.{did_you_mean(text, list(devices))} Known: {names}. Give ssh://user@host,"
            f" or name it: edgec devices add {text if NAME.fullmatch(text) else 'NAME'} ssh://user@host"
        )
    return devices[text].address
