"""Writes text into a picture with OpenCV, accents and umlauts too.

OpenCV 5 has letters of most scripts. OpenCV 4 has those of ASCII alone: an accent is then drawn above or
below its letter, and some Latin letters are spelled with two. Other letters become question marks there; they
are right on the demo's page.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

    Stroke = tuple[tuple[float, float], ...]

FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE = (255, 255, 255)
HAS_ALL_LETTERS = int(cv2.__version__.split(".")[0]) >= 5
SPELLED = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i", "‘": "'", "’": "'", "“": '"',
    "”": '"', "„": '"', "–": "-", "—": "-", "…": "...", "\u00a0": " ",
}  # fmt: skip
CAPITAL, SMALL = 22.0, 15.0  # heights of letters of Hershey's simplex at size 1, in pixels
ABOVE: dict[str, tuple[Stroke, ...]] = {
    "\u0300": (((-3, -4), (2, 0)),),  # grave
    "\u0301": (((3, -4), (-2, 0)),),  # acute
    "\u0302": (((-4, 0), (0, -4), (4, 0)),),  # circumflex
    "\u0303": (((-5, 0), (-2, -3), (2, 0), (5, -3)),),  # tilde
    "\u0304": (((-4, -2), (4, -2)),),  # macron
    "\u0306": (((-4, -4), (0, 0), (4, -4)),),  # breve
    "\u0307": (((0, -2),),),  # dot
    "\u0308": (((-4, -2),), ((4, -2),)),  # diaeresis
    "\u030a": (((-2, -2), (0, -5), (2, -2), (0, 0), (-2, -2)),),  # ring
    "\u030b": (((-1, -4), (-4, 0)), ((4, -4), (1, 0))),  # double acute
    "\u030c": (((-4, -4), (0, 0), (4, -4)),),  # caron
}
"""Strokes around the middle of a letter's upper edge, in pixels at size 1; y grows downwards. One point is a
dot."""
BELOW: dict[str, tuple[Stroke, ...]] = {
    "\u0323": (((0, 4),),),  # dot
    "\u0326": (((1, 3), (-1, 7)),),  # comma
    "\u0327": (((0, 0), (1, 3), (-2, 6)),),  # cedilla
    "\u0328": (((1, 0), (-1, 4), (2, 6)),),  # ogonek
}
"""The same from the middle of a letter's lower edge."""


class Accent(NamedTuple):
    """One of the letter at `place` of a text, as a combining character."""

    place: int
    character: str


def write(
    image: NDArray[np.uint8], text: str, x: int, y: int, size: float, all_letters: bool = HAS_ALL_LETTERS
) -> None:
    """Write a line of text in white into a picture uint8 [H, W, 3], beginning at x on the baseline y."""
    if all_letters:
        cv2.putText(image, text, (x, y), FONT, size, WHITE, 1, cv2.LINE_AA)
        return
    letters, accents = in_ascii(text)
    cv2.putText(image, letters, (x, y), FONT, size, WHITE, 1, cv2.LINE_AA)
    for accent in accents:
        before, whole = (_width(letters[:end], size) for end in (accent.place, accent.place + 1))
        _draw(image, accent.character, letters[accent.place], x + (before + whole) / 2, y, size)


def in_ascii(text: str) -> tuple[str, list[Accent]]:
    """Return a text in ASCII, and the accents that its letters lack."""
    letters = ""
    accents = []
    for sign in unicodedata.normalize("NFD", "".join(SPELLED.get(one, one) for one in text)):
        if sign.isascii():
            letters += sign
        elif letters and (sign in ABOVE or sign in BELOW):
            accents.append(Accent(len(letters) - 1, sign))
        elif not unicodedata.combining(sign):
            letters += "?"
    return letters, accents


def _width(text: str, size: float) -> int:
    return int(cv2.getTextSize(text, FONT, size, 1)[0][0])


def _draw(image: NDArray[np.uint8], accent: str, letter: str, x: float, y: float, size: float) -> None:
    if accent in ABOVE:
        y -= size * ((CAPITAL if letter.isupper() or letter in "bdfhklt" else SMALL) + 3)
    for stroke in ABOVE.get(accent) or BELOW[accent]:
        points = np.rint([(x + size * right, y + size * down) for right, down in stroke]).astype(np.int32)
        if len(points) == 1:
            centre = int(points[0][0]), int(points[0][1])
            cv2.circle(image, centre, max(1, round(1.5 * size)), WHITE, thickness=-1, lineType=cv2.LINE_AA)
        else:
            cv2.polylines(image, [points], False, WHITE, 1, cv2.LINE_AA)
