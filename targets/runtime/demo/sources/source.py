"""The interface of sources of pictures, and their errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Iterator

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A decoded picture, uint8 [H, W, 3] RGB.

    arrived: of time.monotonic(), when it had come and was not decoded yet, as far as the source lets us see.
    """

    image: Image
    arrived: float


class SourceError(Exception):
    """A source that cannot be used. The message says what was found, and what to do."""


class Ended(Exception):
    """The source has ended for good."""


@dataclass(frozen=True)
class Wish:
    """The format requested from a camera, which may give another one."""

    width: int = 1280
    height: int = 720
    fps: int = 30


@dataclass(frozen=True)
class Source:
    """How to open a source, and whether to reopen it after it failed.

    `open` returns an iterator of pictures, None where one was damaged. It raises
    SourceError if the source cannot be opened, and Ended at its end; if it just stops, the source was lost.
    """

    name: str
    open: Callable[[], Iterator[Picture | None]]
    live: bool
