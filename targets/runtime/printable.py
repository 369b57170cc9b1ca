"""Makes text of files and file names safe for a terminal: it is shown, and never a command to it."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return text without control characters: ESC becomes \x1b. Lines and tabs stay."""
    return "".join(c if c in "\n\t" or not _is_control(c) else f"\\x{ord(c):02x}" for c in text)


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0
