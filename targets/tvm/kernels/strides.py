"""Distances in memory."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Strides:
    """Bytes from one row, and from one pixel, to the next. A convolution's input: from window to window."""

    row: int
    pixel: int
