"""The result of a command on a device."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finished:
    """A command that ended by itself."""

    returncode: int
    stdout: str
    stderr: str
