"""Reads small files of the system and the output of its programs; what cannot be read is empty.

Needs Python alone: it also runs where NumPy is missing.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

SECONDS = 30
"""A program that takes longer is stopped, and its output is not used."""


def text_of(path: Path) -> str:
    """Return a file's text without the zeros and blanks around it; empty where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0\n\t ")
    except OSError:  # sensors come and go, and some refuse to be read
        return ""


def output_of(command: list[str]) -> str:
    """Return what a program prints; empty where it is missing, fails or does not end."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
