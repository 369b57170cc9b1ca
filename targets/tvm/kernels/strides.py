"""Distances in memory."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Strides:
    """Elements from one row, and one pixel, to the next. A convolution's input: from window to window."""

    row: int
    pixel: int
    low: int = 0
    """From a number's high byte to its low byte; 0 where a number is one element."""
    words: bool = False
    """Whether elements are int16, and no bytes."""

    @property
    def planes(self) -> tuple[int, ...]:
        """Where the bytes of a number are, if they lie apart, or the number itself."""
        return (0, self.low) if self.low else (0,)

    @property
    def element(self) -> int:
        """Bytes of an element."""
        return 2 if self.words else 1

    def span(self, width: int, channels: int) -> int:
        """Bytes from a row's first number to the end of its last."""
        return ((width - 1) * self.pixel + channels + self.low) * self.element


BYTES = Strides(0, 0)
"""One byte for each number, wherever they are."""
