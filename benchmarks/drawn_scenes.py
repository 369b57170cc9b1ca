"""Photos on which words, ellipses and boxes are drawn, with the class of each pixel, which is exact."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES = ("photo", "word", "ellipse", "box")
WORDS = ("milk", "bread", "price", "offer", "fresh", "organic", "juice", "2.99", "19.90", "apple", "sale")
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)


@dataclass(frozen=True)
class Scenes:
    """Images uint8 [N, H, W, 3], and the class of each pixel uint8 [N, H, W]."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]

    @classmethod
    def on(cls, photos: NDArray[np.uint8], side: int, count: int, seed: int) -> "Scenes":
        """Draw on `count` random pieces, `side` x `side`, of different photos uint8 [N, H, W, 3]."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(photos), count, replace=False)
        drawn = [_drawn(_piece(photos[index], side, rng), rng) for index in chosen]
        return cls(np.stack([image for image, _ in drawn]), np.stack([mask for _, mask in drawn]))

    def __getitem__(self, part: slice) -> "Scenes":
        return Scenes(self.images[part], self.masks[part])

    def write(self, folder: Path) -> None:
        """Write them as a data set has a split: images/NUMBER.png and masks/NUMBER.png."""
        for kind, pictures in (("images", self.images[..., ::-1]), ("masks", self.masks)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            for number, picture in enumerate(pictures):
                cv2.imwrite(str(folder / kind / f"{number:04}.png"), picture)


def _piece(photo: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    top, left = (int(rng.integers(0, whole - side + 1)) for whole in photo.shape[:2])
    return photo[top : top + side, left : left + side].copy()


def _drawn(image: NDArray[np.uint8], rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw two to four things on an image, some of them half transparent; the last one is in front."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for _ in range(int(rng.integers(2, 5))):
        kind = int(rng.integers(1, len(CLASSES)))
        inside = KINDS[kind - 1](len(image), rng)
        opaque, colour = rng.uniform(0.45, 1.0), rng.integers(0, 256, 3)
        image[inside] = (opaque * colour + (1 - opaque) * image[inside]).astype(np.uint8)
        mask[inside] = kind
    return image, mask


def _word(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    canvas = np.zeros((side, side), np.uint8)
    left, bottom = int(rng.integers(0, side // 2)), int(rng.integers(side // 6, side))
    word, font = str(rng.choice(WORDS)), int(rng.choice(FONTS))
    cv2.putText(canvas, word, (left, bottom), font, rng.uniform(0.5, 1.1), 1, int(rng.integers(1, 3)))
    return canvas > 0


def _ellipse(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    canvas = np.zeros((side, side), np.uint8)
    middle, axes = rng.integers(0, side, 2).tolist(), rng.integers(side // 24, side // 5, 2).tolist()
    cv2.ellipse(canvas, middle, axes, rng.uniform(0, 180), 0, 360, 1, -1)
    return canvas > 0


def _box(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    canvas = np.zeros((side, side), np.uint8)
    middle, sides = rng.integers(0, side, 2).tolist(), rng.uniform(side / 12, side / 3, 2).tolist()
    corners = cv2.boxPoints((middle, sides, rng.uniform(0, 90)))
    cv2.fillPoly(canvas, [corners.astype(np.int32)], 1)
    return canvas > 0


KINDS = (_word, _ellipse, _box)
"""What draws each class but the first: where its pixels are, bool [H, W]."""
