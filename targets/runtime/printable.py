"""Makes text of files and file names safe for a terminal: it is shown, and never a command to it."""

from __future__ import annotations

import re


def printable(text: str) -> str:
    r"""Return text without control characters: ESC becomes \x1b. Lines and tabs stay.

    Also without those that turn the order of what follows round (Unicode UAX #9) or begin a line, by which a
    name could look like another text, and without halves of surrogate pairs, which no terminal can be sent.
    """
    return _CONTROL.sub(_escaped, text)


def printable_json(text: str) -> str:
    r"""Return JSON text without the same characters: they are in its strings, as \u001b."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_TURNING = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_TURNING}\ud800-\udfff]")


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"
