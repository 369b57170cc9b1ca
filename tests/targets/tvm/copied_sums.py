"""A residual block whose sum has 16 bits where it is added, and fewer where a convolution reads it."""

from dataclasses import dataclass

import numpy as np

from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.operators.assembling import Assemble, Piece
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Bytes, Tensor

_WIDE, _PAD = Clip(0, 65535), SlidingWindow((3, 3), pad=(1, 1))


@dataclass(frozen=True)
class CopiedSum:
    """The sum and its copy: zero points and bounds of each, and how much larger the copy's steps are."""

    channels: int = 16
    width: int = 9
    zeros: tuple[int, int] = (0, 0)
    clips: tuple[Clip, Clip] = (_WIDE, Clip())
    step: float = 257.0
    wide_copy: bool = False
    narrow_sum: bool = False

    def network(self) -> IntegerGraph:
        """image -> first -> sum -> copy -> last, to which the sum is added -> logits."""
        random = np.random.default_rng(11)
        image = Tensor("image", 5, self.width, 3, (0, 100, 255))
        added = self._tensor("sum", self.zeros[0], not self.narrow_sum)
        copy = self._tensor("copy", self.zeros[1], self.wide_copy)
        last, logits = self._tensor("last", 128, False), Tensor("logits", 1, 1, 4, (0,))
        operators = (
            Image(image),
            _conv(image, added, _PAD, 0.5 if added.wide else 2e-3, random, self.clips[0]),
            Assemble("copy", copy, (Piece(added, float(np.float32(1 / self.step)), 0),), self.clips[1]),
            _conv(copy, last, _PAD, 2e-6 if copy.wide else 5e-4, random, Clip(), added),
            _conv(last, logits, SlidingWindow((5, self.width)), 1e-6, random, Clip()),
        )
        return IntegerGraph(operators, image, logits)

    def _tensor(self, name: str, zero: int, wide: bool) -> Tensor:
        return Tensor(name, 5, self.width, self.channels, (zero,), wide)


def _conv(
    x: Tensor,
    y: Tensor,
    window: SlidingWindow,
    gain: float,
    random: np.random.Generator,
    clip: Clip,
    residual: Tensor | None = None,
) -> Conv:
    shape = (y.channels, x.channels, *window.kernel)
    most = min(127, (1 << 15) // int(np.prod(shape[1:])))  # so that sums fit int32
    weight = random.integers(-most, most + 1, shape).astype(np.int8)
    bias = random.integers(-5000, 5000, y.channels).astype(np.int32)
    multiplier = np.full(y.channels, gain, np.float32)
    real = y.name == "logits"
    joined = Residual(residual, 1 / 300 if residual.wide else 0.9) if residual else None
    return Conv(y.name, x, y, weight, bias, multiplier, window, residual=joined, clip=clip, real=real)


def every_number() -> tuple[IntegerGraph, Bytes]:
    """A network, and an image for which `sum` is 127 a + b of all pixels (a, b, 0), from three numbers on."""
    image, logits = Tensor("image", 256, 128, 3, (0,)), Tensor("logits", 1, 1, 1, (0,))
    added, copy = (Tensor(name, 256, 128, 3, (0,), wide) for name, wide in (("sum", True), ("copy", False)))
    weight = np.array([[127, 1, 0]] * 3, np.int8).reshape(3, 3, 1, 1)
    one, begins = np.ones(3, np.float32), np.array([0, 32512, 33023], np.int32)
    random, last = np.random.default_rng(12), SlidingWindow(stride=(256, 128))
    operators = (
        Image(image),
        Conv("sum", image, added, weight, begins, one, SlidingWindow(), clip=_WIDE),
        Assemble("copy", copy, (Piece(added, float(np.float32(2 / 257)), 0),)),
        _conv(copy, logits, last, 1e-3, random, Clip()),
    )
    pixels = np.stack(np.meshgrid(np.arange(256), np.arange(128), [0], indexing="ij"), axis=-1)
    return IntegerGraph(operators, image, logits), pixels.reshape(1, 256, 128, 3).astype(np.uint8)
