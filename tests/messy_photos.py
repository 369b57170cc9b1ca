"""Photos as users have them: formats and sizes mixed, turned by EXIF, one cut off, names with umlauts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
TURNED = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
"""An EXIF part with the orientation "rotate by 90 degrees to the right"."""
FORMATS = (".jpg", ".JPG", ".jpeg", ".png", ".webp", ".bmp")
SCALES = (1.0, 2.5, 6.0)


def write_messy(folder: Path, photos: Mapping[str, Sequence[Pixels]]) -> Path:
    """Write RGB pictures by class into `folder`/<class>, and return the one that is damaged."""
    written = []
    for label, pictures in photos.items():
        (folder / label).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            suffix = FORMATS[number % len(FORMATS)]
            turned = suffix.lower() in (".jpg", ".jpeg") and number % 4 == 1
            scale = SCALES[number % 3]
            scaled = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale), np.uint8)
            path = folder / label / f"IMG_{number:04} für später{suffix}"
            path.write_bytes(_encoded(scaled, suffix.lower(), turned))
            written.append(path)
        (folder / label / "Thumbs.db").write_bytes(b"left by a desktop")
    damaged = next(path for path in written if path.suffix == ".JPG")
    damaged.write_bytes(damaged.read_bytes()[:-200])
    return damaged


def _encoded(picture: Pixels, suffix: str, turned: bool) -> bytes:
    stored = np.rot90(picture) if turned else picture
    content = cv2.imencode(suffix, np.ascontiguousarray(stored[:, :, ::-1]))[1].tobytes()
    return content[:2] + TURNED + content[2:] if turned else content


def drawn(kind: int, count: int, seed: int = 0) -> list[Pixels]:
    """Draw pictures of one of five kinds of things, each in its own colours, in front of anything."""
    rng = np.random.default_rng([kind, seed])
    return [_thing(kind, rng) for _ in range(count)]


def _thing(kind: int, rng: np.random.Generator) -> Pixels:
    small = rng.integers(0, 256, (4, 5, 3), np.uint8)
    canvas = cv2.resize(small, (200, 160), interpolation=cv2.INTER_CUBIC)
    colour = [int(value) for value in rng.normal(COLOURS[kind], 12).clip(0, 255)]
    x, y = (int(rng.integers(60, side - 60)) for side in (200, 160))
    size = int(rng.integers(30, 55))
    if kind % 2:
        cv2.circle(canvas, (x, y), size, colour, -1)
    else:
        cv2.rectangle(canvas, (x - size, y - size), (x + size, y + size), colour, -1)
    return np.asarray(canvas, np.uint8)


COLOURS = ((200, 30, 30), (240, 200, 40), (40, 160, 50), (240, 130, 20), (120, 60, 150))
NAMES = ("Äpfel", "Zitronen", "Gurken", "Mandarinen", "Auberginen")
