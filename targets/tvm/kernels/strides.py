"""Distances in memory."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Strides:
    """Bytes from one row, and from one pixel, to the next. A convolution's input: from window to window."""

    row: int
    pixel: int
    low: int = 0
    """From a number's high byte to its low byte; 0 where numbers have 8 bits."""
