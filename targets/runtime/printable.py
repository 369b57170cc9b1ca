"""Makes text of files and file names safe for a terminal: it is shown, and never a command to it."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return text without control characters: ESC becomes \x1b. Lines and tabs stay.

    Also without those that turn the order of what follows round (Unicode UAX #9) or begin a line, by which a
    name could look like another text, and without halves of surrogate pairs, which no terminal can be sent.
    """
    return "".join(c if c in "\n\t" or not _is_control(c) else _escaped(c) for c in text)


TURNING = frozenset("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _is_control(character: str) -> bool:
    number = ord(character)
    return number < 0x20 or 0x7F <= number < 0xA0 or character in TURNING or 0xD800 <= number < 0xE000


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"
