"""The pictures that both sides get, and the same pictures prepared in other ways."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from pipeline.data.picture_files import read_picture
from pipeline.data.split import Split
from pipeline.difference.side import Pictures
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import PICTURE_BYTES
from targets.runtime.preprocess import Preprocessing

FEW = 8
"""Pictures that are prepared in other ways."""


class PictureSource(Protocol):
    """Pictures that can be prepared again."""

    @property
    def used(self) -> Preprocessing:
        """How both sides get them."""

    def pictures(self, preprocessing: Preprocessing, count: int | None = None) -> Pictures:
        """Return the first `count`, or all, as uint8 [N, H, W, C]."""

    def unturned(self, preprocessing: Preprocessing) -> Pictures | None:
        """Return the first FEW without EXIF's orientation; None if that changes none of them."""


@dataclass(frozen=True)
class PictureFiles:
    """Pictures that were named one by one or by their folders."""

    used: Preprocessing
    files: tuple[Path, ...]

    def pictures(self, preprocessing: Preprocessing, count: int | None = None) -> Pictures:
        """Return the first `count`, or all, as uint8 [N, H, W, C]."""
        return np.stack(
            [preprocessing(read_picture(one, preprocessing.channels)) for one in self.files[:count]]
        )

    def unturned(self, preprocessing: Preprocessing) -> Pictures | None:
        """Return the first FEW without EXIF's orientation; None if that changes none of them."""
        found = np.stack([preprocessing(one) for one in self._as_stored(preprocessing.channels)])
        return None if np.array_equal(found, self.pictures(preprocessing, FEW)) else found

    def _as_stored(self, channels: int) -> Iterator[Pictures]:
        flags = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
        for path in self.files[:FEW]:
            turned = read_picture(path, channels)  # which refuses damaged ones
            stored = cv2.imdecode(
                np.frombuffer(read_plain(path, PICTURE_BYTES), np.uint8),
                flags | cv2.IMREAD_IGNORE_ORIENTATION,
            )
            if stored is None:
                yield turned
            else:
                pixels = np.asarray(stored, np.uint8)
                yield pixels[:, :, None] if channels == 1 else np.ascontiguousarray(pixels[:, :, ::-1])


@dataclass(frozen=True)
class SplitPictures:
    """Evaluation images of a data set."""

    used: Preprocessing
    split: Split

    def pictures(self, preprocessing: Preprocessing, count: int | None = None) -> Pictures:
        """Return the first `count`, or all, as uint8 [N, H, W, C]."""
        chosen = self.split if count is None else self.split.subset(range(min(count, len(self.split))))
        return np.concatenate([batch.images for batch in chosen.readable(preprocessing, 64)])

    def unturned(self, preprocessing: Preprocessing) -> Pictures | None:  # noqa: ARG002
        """Return None: a data set gives its pictures as they have to be seen."""
        return None
