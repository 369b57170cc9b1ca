"""What a source of pictures is, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Iterator

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]


class SourceError(Exception):
    """A source that cannot be used. The text says what was found, and what to do."""


class Ended(Exception):
    """There are no more pictures, and there will be none."""


@dataclass(frozen=True)
class Wish:
    """What a camera is asked for; it may give something else."""

    width: int = 1280
    height: int = 720
    fps: int = 30


@dataclass(frozen=True)
class Source:
    """How to open a source, and whether it is worth opening again after it failed.

    `open` returns an iterator of pictures uint8 [H, W, 3] RGB, None where one was damaged. It raises
    SourceError if the source cannot be opened; that it stops means it was lost, Ended that there are none.
    """

    name: str
    open: Callable[[], Iterator[Image | None]]
    live: bool
