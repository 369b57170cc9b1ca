"""Networks whose convolutions of 1 x 1 read activations of 16 bits."""

from dataclasses import replace

import numpy as np

from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Multiply
from targets.tvm.operators.results_on_grids import Clip
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.operators.window_pooling import AveragePool
from targets.tvm.tensors import Floats, Tensor

_WIDE = Clip(0, 65535)


def pixel_by_pixel(stride: tuple[int, int]) -> IntegerGraph:
    """16 bits in 24 channels, with a stride 16 bits in 8 channels, and a classifier."""
    random, (height, width) = np.random.default_rng(5), (5, 7)
    image = Tensor("image", height, width, 3, (0, 100, 255))
    x = Tensor("x", height, width, 24, (33000,), wide=True)
    y = Tensor("y", -(-height // stride[0]), -(-width // stride[1]), 8, (9,), wide=True)
    logits = Tensor("logits", 1, 1, 4, (0,))
    whole = SlidingWindow((y.height, y.width))
    convolutions = (
        _conv(image, x, SlidingWindow(), 1.3, random),
        _conv(x, y, SlidingWindow(stride=stride), 0.003, random),
        _conv(y, logits, whole, 1e-6, random),
    )
    return IntegerGraph((Image(image), *convolutions), image, logits)


def beyond_int32(zero: int) -> IntegerGraph:
    """Results of 16 bits with a zero point, most of which are larger than an int32, or lower."""
    random = np.random.default_rng(6)
    image = Tensor("image", 5, 7, 3, (0, 100, 255))
    x, logits = Tensor("x", 5, 7, 24, (zero,), wide=True), Tensor("logits", 1, 1, 4, (0,))
    first = _conv(image, x, SlidingWindow(), 1e7, random)
    last = _conv(x, logits, SlidingWindow((5, 7)), 1e-6, random)
    return IntegerGraph((Image(image), first, last), image, logits)


def depthwise(channels: int) -> IntegerGraph:
    """A depthwise convolution that reads and writes 16 bits."""
    random = np.random.default_rng(7)
    image = Tensor("image", 6, 9, 3, (0, 100, 255))
    x = Tensor("x", 6, 9, channels, (33000,), wide=True)
    y, logits = replace(x, name="y"), Tensor("logits", 1, 1, 4, (0,))
    weight = random.integers(-60, 61, (channels, 1, 3, 3)).astype(np.int8)
    gain = np.full(channels, 0.01, np.float32)
    window = SlidingWindow((3, 3), pad=(1, 1))
    nothing = np.zeros(channels, np.int32)
    middle = Conv("depthwise", x, y, weight, nothing, gain, window, channels, clip=_WIDE)
    first = _conv(image, x, SlidingWindow(), 1.3, random)
    last = _conv(y, logits, SlidingWindow((6, 9)), 1e-6, random)
    return IntegerGraph((Image(image), first, middle, last), image, logits)


def _conv(x: Tensor, y: Tensor, window: SlidingWindow, gain: float, random: np.random.Generator) -> Conv:
    shape = (y.channels, x.channels, *window.kernel)
    most = min(127, (1 << 15) // int(np.prod(shape[1:])))  # so that sums fit int32
    weight = random.integers(-most, most + 1, shape).astype(np.int8)
    bias = random.integers(-5000, 5000, y.channels).astype(np.int32)
    multiplier = np.full(y.channels, gain, np.float32)
    clip = _WIDE if y.wide else Clip()
    return Conv(y.name, x, y, weight, bias, multiplier, window, clip=clip, real=not y.wide)


def once_wrong() -> IntegerGraph:
    """A random network: a convolution of 1 x 1 over one pixel of 16 bits is its classifier."""
    image = Tensor("image", 3, 4, 3, (0, 254, 254))
    t1 = Tensor("t1", 3, 1, 4, (254,))
    t2 = Tensor("t2", 2, 1, 8, (32997,), wide=True)
    t3 = Tensor("t3", 2, 1, 8, (257,), wide=True)
    t4 = Tensor("t4", 2, 1, 8, (128,))
    t5 = Tensor("t5", 1, 1, 8, (65535,), wide=True)
    logits = Tensor("t6", 1, 1, 4, (1,))
    by_cells = _floats(0.00285076, 0.00142538, 0.00095025)
    operators = (
        Image(image),
        _first(image, t1),
        _grouped(t1, t2),
        Multiply("product", t2, t2, t3, 5.076299771644699e-07, Clip(25700, 65535)),
        AveragePool("average", t3, t4, SlidingWindow((1, 3), pad=(0, 1)), by_cells),
        AveragePool(
            *("average", t4, t5, SlidingWindow((1, 2), (2, 2), (0, 1)), _floats(357.29944, 178.64972)),
            Clip(7710, 51400),
        ),
        _classifier(t5, logits),
    )
    return IntegerGraph(operators, image, logits)


def _first(x: Tensor, y: Tensor) -> Conv:
    weight = [
        [[[-55, -63, 53]], [[13, -28, 84]], [[65, -45, 54]]],
        [[[108, -107, -20]], [[-64, -28, -45]], [[-93, 72, -57]]],
        [[[120, 56, -125]], [[-11, -9, 69]], [[-118, 71, -124]]],
        [[[103, 117, -70]], [[-49, 65, -70]], [[-30, 127, -81]]],
    ]
    bias = np.array([17585, 998, -4960, 12607], np.int32)
    multiplier = _floats(0.02261244, 0.02256984, 0.0258587, 0.01119111)
    window = SlidingWindow((1, 3), (1, 2))
    return Conv("conv1", x, y, np.array(weight, np.int8), bias, multiplier, window, clip=Clip(30, 200))


def _grouped(x: Tensor, y: Tensor) -> Conv:
    weight = np.array([-16, 78, -90, 37, 28, 119, 98, -8], np.int8).reshape(8, 1, 1, 1)
    bias = np.array([173, -2313, -5051, -6321, -7429, -3238, -6216, -8949], np.int32)
    multiplier = _floats(
        *(0.13832653, 0.03704414, 0.09551238, 0.12704426, 0.09376479, 0.08928082, 0.07784612, 0.07155189)
    )
    return Conv("conv2", x, y, weight, bias, multiplier, SlidingWindow(stride=(2, 1)), 4, clip=_WIDE)


def _classifier(x: Tensor, y: Tensor) -> Conv:
    signs = [
        [-1, 1, -1, 1, 1, 1, 1, 1],
        [-1, -1, -1, 1, 1, -1, 1, 1],
        [1, 1, -1, 1, 1, 1, 1, -1],
        [-1, -1, -1, -1, -1, 1, -1, -1],
    ]
    weight = (127 * np.array(signs, np.int8)).reshape(4, 8, 1, 1)
    bias = np.array([1410673, -2280104, 5641664, -5273640], np.int32)
    multiplier = _floats(6.4848223e-07, 1.9545547e-07, 6.5471716e-07, 4.4386434e-07)
    return Conv("conv6", x, y, weight, bias, multiplier, SlidingWindow(), real=True)


def _floats(*values: float) -> Floats:
    return np.array(values, np.float32)
