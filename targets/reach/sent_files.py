"""Files on a device by their digest, so that nothing is sent twice."""

from pathlib import Path

from targets.reach.ssh import SshDevice
from targets.reach.transfer import file_digest

FOLDER = "edgec/measured"
"""The folder on the device for engines, images and programs."""


def sent(device: SshDevice, file: Path) -> str:
    """Copy a file to the device if it is not there yet; return its path there."""
    remote = f"{FOLDER}/{file_digest(file)[:16]}-{file.name}"
    device.send(file, remote)
    return remote
