"""TOML files that others made: their size and the depth of their keys are bounded before they are parsed."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import SETTINGS_BYTES, TOML_DEPTH

_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_TOO_DEEP = re.compile(rf"(?<![\w-])(?:{_PART}){{{TOML_DEPTH}}}")
_NUL = re.compile(r"\\(?:u0{4}|U0{8})")
"""The only form of it that TOML takes."""


def bounded_toml(path: Path) -> dict[str, Any]:
    """Return a file's tables. Raises OSError, and ValueError or RecursionError if it is not TOML or too deep.

    For a key of n parts tomllib takes time in proportion to n squared: one of 500,000 would take an hour.
    """
    text = read_plain(path, SETTINGS_BYTES).decode()
    if _TOO_DEEP.search(text):
        raise ValueError(f"a key has more than {TOML_DEPTH} parts")
    if found := _NUL.search(text):
        raise ValueError(f"{found[0]} is a character that no name and no path can have")
    return tomllib.loads(text)
