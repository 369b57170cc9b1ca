"""The devices that the user has named: a TOML file with one table for each."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import did_you_mean
from pipeline.cache.store import writing
from pipeline.errors import UsageError
from pipeline.toml_file import bounded_toml
from targets.errors import DeviceAddressError
from targets.reach.ssh import SshAddress

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def devices_file() -> Path:
    """Return the path of that file."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "edgec" / "devices.toml"


@dataclass(frozen=True)
class KnownDevice:
    """A name, and where the device is."""

    name: str
    address: SshAddress


def known_devices(file: Path | None = None) -> dict[str, KnownDevice]:
    """Return all named devices. Raises UsageError if the file is not valid."""
    path = file or devices_file()
    try:
        tables = bounded_toml(path)
        return {name: KnownDevice(name, _address(table)) for name, table in tables.items()}
    except FileNotFoundError:
        return {}
    except (
        OSError,
        ValueError,
        RecursionError,
        KeyError,
        TypeError,
        DeviceAddressError,
    ) as error:
        raise UsageError(
            f'{path} cannot be used: {error}. Expected: [name] with address = "ssh://...",'
            ' and perhaps python = "/path/to/python3".'
        ) from error


def _address(table: dict[str, str]) -> SshAddress:
    return SshAddress.parse(table["address"]).with_python(table.get("python"))


def add_device(name: str, address: SshAddress, file: Path | None = None) -> Path:
    """Add a named device, or change its address; return the path of the file.

    Raises UsageError for a name with other characters, and if the file is not valid.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a device: use lower-case letters, digits, - and _.")
    path = file or devices_file()
    devices = {**known_devices(path), name: KnownDevice(name, address)}
    with writing(path.parent, "XDG_CONFIG_HOME"):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        scratch.write_text(
            "".join(f'[{d.name}]\naddress = "{d.address}"\n\n' for _, d in sorted(devices.items()))
        )
        scratch.replace(path)
    return path


def find_device(text: str) -> SshAddress:
    """Return the address of a named device or of an ssh:// URL. Raises UsageError, DeviceAddressError."""
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
