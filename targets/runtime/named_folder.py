"""Folders that environment variables name."""

from __future__ import annotations

import os
from pathlib import Path


class WrongVariable(ValueError):
    """An environment variable has a value that cannot be used. The message names both."""


def named_folder(variable: str, otherwise: Path) -> Path:
    """Return the folder that a variable names, or `otherwise` if it is empty or not set.

    The folder need not be there yet. Raises WrongVariable for a path that is not absolute, which would name
    another folder in each working directory (XDG Base Directory Specification: "All paths set in these
    environment variables must be absolute"), and for something that is not a folder.
    """
    text = os.environ.get(variable, "")
    if not text:
        return otherwise
    path = Path(text)
    try:
        wrong = (path.exists() or path.is_symlink()) and not path.is_dir()
    except OSError:  # a name that is too long, or a folder that may not be entered
        wrong = True
    if wrong or not path.is_absolute():
        why = "which is not a folder" if wrong else "which is not an absolute path"
        raise WrongVariable(f"{variable} is {text[:200]!r}, {why}. Give the path of a folder, or unset it.")
    return path
