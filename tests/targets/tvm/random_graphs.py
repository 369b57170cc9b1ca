"""Small random integer graphs: every operator, awkward sizes, zero points at both ends, saturation."""

from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.operators.assembling import Affine, Assemble, Piece
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Add, Lookup, Multiply, Pointwise, Rectify
from targets.tvm.operators.resizing import Interpolate, Neighbours, Pick, PixelShuffle, Resize
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.operators.window_pooling import AveragePool, ChannelMax, MaxPool
from targets.tvm.tensors import Tensor

Single = Image | Conv | MaxPool | AveragePool | ChannelMax | Pointwise | Resize | Assemble
CHANNELS = st.sampled_from([1, 3, 4, 7, 16, 17, 32, 48])
ZERO_POINTS = st.sampled_from([0, 1, 100, 128, 254, 255])
GAINS = st.sampled_from([0.02, 0.5, 3.0, 1000.0])
"""Standard deviation of results relative to the 8-bit range: all zero, moderate, mostly saturated, absurd."""


@dataclass
class NetworkBuilder:
    """Appends operators with random weights; `at` is the latest tensor."""

    draw: st.DrawFn
    random: np.random.Generator
    operators: list[Single] = field(default_factory=list)

    @property
    def at(self) -> Tensor:
        return self.operators[-1].output

    def tensor(self, height: int, width: int, channels: int) -> Tensor:
        zero = self.draw(ZERO_POINTS)
        return Tensor(f"t{len(self.operators)}", height, width, channels, (zero,))

    def clip(self) -> Clip:
        return self.draw(st.sampled_from([Clip(), Clip(low=100), Clip(low=30, high=200)]))

    def image(self) -> None:
        channels = self.draw(st.sampled_from([1, 3]))
        height, width = (self.draw(st.integers(1, 19)) for _ in range(2))
        zeros = tuple(self.draw(ZERO_POINTS) for _ in range(channels))
        self.operators.append(Image(Tensor("image", height, width, channels, zeros)))

    def window(self, side: int = 3, dilations: tuple[int, ...] = (1, 1, 2)) -> tuple[SlidingWindow, int, int]:
        """A window that fits, and the size of its output."""
        x, sizes = self.at, []
        for length in (x.height, x.width):
            kernel, stride = self.draw(st.integers(1, side)), self.draw(st.integers(1, 2))
            dilation = self.draw(st.sampled_from(dilations))
            reach = (kernel - 1) * dilation + 1
            pad = self.draw(st.integers(0, reach - 1))
            if length + 2 * pad < reach:
                kernel, dilation, pad, reach = 1, 1, 0, 1
            sizes.append((kernel, stride, pad, dilation, (length + 2 * pad - reach) // stride + 1))
        (kh, sh, ph, dh, height), (kw, sw, pw, dw, width) = sizes
        return SlidingWindow((kh, kw), (sh, sw), (ph, pw), (dh, dw)), height, width

    def conv(self, logits: int = 0) -> None:
        x = self.at
        if logits:
            window, height, width, groups, count = SlidingWindow((x.height, x.width)), 1, 1, 1, logits
        else:
            window, height, width = self.window()
            groups = self.draw(st.sampled_from([g for g in (1, 2, 4, 16, x.channels) if x.channels % g == 0]))
            count = groups * self.draw(st.integers(1, 3)) if groups > 1 else self.draw(CHANNELS)
        weight = self.random.integers(-127, 128, (count, x.channels // groups, *window.kernel)).astype(
            np.int8
        )
        if self.draw(st.booleans()):
            weight = np.where(weight > 0, 127, -127).astype(np.int8)
        spread = 127 * 74 * weight[0].size ** 0.5
        bias = self.random.integers(-int(spread), int(spread) + 1, count).astype(np.int32)
        gain = self.random.uniform(0.5, 2, count) * self.draw(GAINS) * 128 / spread
        output = self.tensor(height, width, count)
        residual = self.residual(height, width, count) if not logits else None
        self.operators.append(
            Conv(
                f"conv{len(self.operators)}",
                x,
                output,
                weight,
                bias,
                gain.astype(np.float32),
                window,
                groups,
                residual,
                Clip() if logits else self.clip(),
                bool(logits),
            )
        )

    def residual(self, height: int, width: int, channels: int) -> Residual | None:
        same = [op.output for op in self.operators[1:] if op.output.channels == channels]
        same = [t for t in same if (t.height, t.width) == (height, width)]
        if not same or not self.draw(st.booleans()):
            return None
        return Residual(self.draw(st.sampled_from(same)), self.multiplier())

    def multiplier(self) -> float:
        return float(np.float32(self.random.uniform(0.3, 1.7)))

    def max_pool(self) -> None:
        window, height, width = self.window(dilations=(1,))
        x = self.at
        output = Tensor(f"t{len(self.operators)}", height, width, x.channels, (x.zero,))
        self.operators.append(MaxPool("max", x, output, window))

    def average_pool(self) -> None:
        window, height, width = self.window(dilations=(1,))
        cells = np.arange(1, window.kernel[0] * window.kernel[1] + 1)
        multipliers = (self.multiplier() / cells).astype(np.float32)
        output = self.tensor(height, width, self.at.channels)
        self.operators.append(AveragePool("average", self.at, output, window, multipliers, self.clip()))

    def add(self) -> None:
        x = self.at
        residual = Residual(x, self.multiplier())
        output = self.tensor(x.height, x.width, x.channels)
        self.operators.append(Add("add", x, output, self.multiplier(), residual, self.clip()))

    def difference(self) -> None:
        """The latest tensor minus its largest channel, or its mean over all places."""
        x = self.at
        self.draw(st.sampled_from([self.channel_max, self.mean]))()
        residual = Residual(self.at, -self.multiplier())
        output = self.tensor(x.height, x.width, x.channels)
        self.operators.append(Add("difference", x, output, self.multiplier(), residual, self.clip()))

    def channel_max(self) -> None:
        x = self.at
        output = replace(self.tensor(x.height, x.width, 1), zero_point=(x.zero,))
        self.operators.append(ChannelMax("largest channel", x, output))

    def mask(self) -> None:
        """All channels of a pixel times the largest of them."""
        x = self.at
        self.channel_max()
        self.product(x, self.at)

    def multiply(self) -> None:
        """The product of the latest tensor with itself, or with an earlier one of its size."""
        x = self.at
        same = [op.output for op in self.operators[1:] if op.output.channels == x.channels]
        factor = self.draw(st.sampled_from([t for t in same if (t.height, t.width) == (x.height, x.width)]))
        self.product(x, factor)

    def gate(self) -> None:
        """Each channel times one number, which is the mean of the channel."""
        x = self.at
        self.mean()
        self.product(x, self.at)

    def mean(self) -> None:
        x = self.at
        window, cells = SlidingWindow((x.height, x.width)), np.arange(1, x.height * x.width + 1)
        multipliers = (self.multiplier() / cells).astype(np.float32)
        self.operators.append(
            AveragePool("mean", x, self.tensor(1, 1, x.channels), window, multipliers, Clip())
        )

    def product(self, x: Tensor, factor: Tensor) -> None:
        multiplier = float(np.float32(self.multiplier() * self.draw(GAINS) / 64))
        output = self.tensor(x.height, x.width, x.channels)
        self.operators.append(Multiply("product", x, factor, output, multiplier, self.clip()))

    def rectify(self) -> None:
        x = self.at
        slopes = self.random.normal(0, 2, x.channels).astype(np.float32)
        output = self.tensor(x.height, x.width, x.channels)
        self.operators.append(Rectify("prelu", x, output, self.multiplier(), slopes, self.clip()))

    def global_max(self) -> None:
        x = self.at
        window, output = SlidingWindow((x.height, x.width)), self.tensor(1, 1, x.channels)
        self.operators.append(MaxPool("largest", x, replace(output, zero_point=(x.zero,)), window))

    def lookup(self) -> None:
        x = self.at
        table = self.random.integers(0, 256, 256).astype(np.uint8)
        self.operators.append(Lookup("lookup", x, self.tensor(x.height, x.width, x.channels), table))

    def nearest(self) -> None:
        x = self.at
        rows, columns = (self.places(length) for length in (x.height, x.width))
        output = Tensor(f"t{len(self.operators)}", len(rows), len(columns), x.channels, (x.zero,))
        every = np.arange(x.channels, dtype=np.int32)
        self.operators.append(Pick("nearest", x, output, rows, columns, every))

    def pick(self) -> None:
        """Channels of every pixel: a run of them, every n-th, or any."""
        x = self.at
        rows, columns = (np.arange(length, dtype=np.int32) for length in (x.height, x.width))
        first = self.draw(st.integers(0, x.channels - 1))
        some = self.random.integers(0, x.channels, self.draw(st.integers(1, 40)))
        groups = self.draw(st.sampled_from([g for g in (2, 3, 4, 8) if x.channels % g == 0] or [1]))
        shuffled = np.arange(x.channels).reshape(groups, -1).T.ravel()
        channels = self.draw(st.sampled_from([np.arange(first, x.channels), shuffled, some]))
        output = Tensor(f"t{len(self.operators)}", x.height, x.width, len(channels), (x.zero,))
        self.operators.append(Pick("pick", x, output, rows, columns, channels.astype(np.int32)))

    def pixel_shuffle(self) -> None:
        x = self.at
        block = self.draw(st.sampled_from([b for b in (1, 2, 4) if x.channels % b**2 == 0]))
        size = (x.height * block, x.width * block, x.channels // block**2)
        output = Tensor(f"t{len(self.operators)}", *size, (x.zero,))
        self.operators.append(PixelShuffle("shuffle", x, output, block, self.draw(st.booleans())))

    def interpolate(self) -> None:
        x, (rows, columns) = self.at, (self.samples(length) for length in (self.at.height, self.at.width))
        multiplier = float(np.float32(self.multiplier() / (rows.parts * columns.parts)))
        output = self.tensor(len(rows.first), len(columns.first), x.channels)
        self.operators.append(Interpolate("between", x, output, rows, columns, multiplier, self.clip()))

    def places(self, length: int) -> NDArray[np.int32]:
        """Rows or columns, in any order, so many that networks stay small."""
        count = self.draw(st.integers(1, max(1, min(2 * length, 20))))
        return self.random.integers(0, length, count).astype(np.int32)

    def samples(self, length: int) -> Neighbours:
        first, parts = self.places(length), self.draw(st.sampled_from([1, 4, 3, 255]))
        second = self.random.integers(0, length, len(first)).astype(np.int32)
        share = self.random.integers(0, parts + 1, len(first)).astype(np.int32)
        return Neighbours(first, second, share, parts)

    def assemble(self) -> None:
        """Two copies of a strided slice beside each other, with a gap."""
        x, stride = self.at, (self.draw(st.integers(1, 2)), self.draw(st.integers(1, 2)))
        gap = self.draw(st.integers(0, 5))
        height, width = -(-x.height // stride[0]), -(-x.width // stride[1])
        output = self.tensor(height, width, 2 * x.channels + gap)
        second = self.draw(st.sampled_from([1.0, self.multiplier()]))
        factors, addends = self.random.normal(0, [[1.0], [100.0]], (2, x.channels)).astype(np.float32)
        affine = Affine(factors, addends) if self.draw(st.booleans()) else None
        pieces = (Piece(x, 1.0, 0, stride, affine), Piece(x, second, x.channels + gap, stride))
        self.operators.append(Assemble("assemble", output, pieces, self.clip()))


KINDS = (
    *("conv", "conv", "conv", "max_pool", "average_pool", "add", "multiply", "gate", "lookup"),
    *("rectify", "nearest", "interpolate", "pixel_shuffle", "global_max", "assemble", "pick"),
    *("pick", "difference", "mask"),
)


@st.composite
def networks(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> IntegerGraph:
    """An image, a convolution, up to four more operators of these kinds, and a classifier."""
    builder = NetworkBuilder(draw, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    builder.image()
    builder.conv()
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=4)):
        getattr(builder, kind)()
    classes = draw(st.integers(1, 20))
    builder.conv(logits=classes)
    return IntegerGraph(tuple(builder.operators), builder.operators[0].output, builder.at)


def pictures(graph: IntegerGraph, count: int) -> NDArray[np.uint8]:
    """Images of noise, the last one white."""
    size = (count, graph.image.height, graph.image.width, graph.image.channels)
    images = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    images[-1] = 255
    return images
