"""The window that convolution and pooling move over a map."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SlidingWindow:
    """A sliding window: kernel size, stride, zero padding at the start, dilation; each (rows, columns)."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def reach(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the padded input that `height` x `width` outputs read."""
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        return (height - 1) * sh + (kh - 1) * dh + 1, (width - 1) * sw + (kw - 1) * dw + 1
