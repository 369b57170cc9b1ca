"""Reads small files of the system and the output of its programs; what cannot be read is empty.

Needs Python alone: it also runs where NumPy is missing.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .device_limits import SYSTEM_FILE_BYTES

SECONDS = 30
"""A program that takes longer is stopped, and its output is not used."""


def text_of(path: Path) -> str:
    """Return a file's text without the zeros and blanks around it; empty where it is long or unreadable."""
    try:
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK)  # a pipe does not block
        with open(descriptor, "rb") as file:  # noqa: PTH123 - it is open already
            content = file.read(SYSTEM_FILE_BYTES + 1) or b""
    except OSError:  # sensors come and go, and some refuse to be read
        return ""
    if len(content) > SYSTEM_FILE_BYTES:
        return ""
    return content.decode(errors="replace").strip("\0\n\t ")


def output_of(command: list[str]) -> str:
    """Return what a program prints; empty where it is missing, fails or does not end."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
