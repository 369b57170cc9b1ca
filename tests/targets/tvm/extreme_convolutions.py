"""Convolutions whose weights and sums lie at the ends of what they can be."""

from dataclasses import replace

import numpy as np

from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Tensor

INT32 = 1 << 31


def convolution(x: Tensor, channels: int, window: SlidingWindow, random: np.random.Generator) -> Conv:
    """Weights at both ends, sums that are spread over the bytes of the result."""
    weight = random.choice(np.array([-127, -1, 0, 127], np.int8), (channels, x.channels, *window.kernel))
    if random.integers(2):
        weight[:] = random.choice([-127, 127])  # the largest sums there are
    sides = zip((x.height, x.width), window.pad, window.kernel, window.stride, strict=True)
    height, width = ((length + 2 * pad - kernel) // stride + 1 for length, pad, kernel, stride in sides)
    gain = random.uniform(0.5, 2, channels) / (100 * weight[0].size ** 0.5)
    bias = random.integers(-1000, 1000, channels).astype(np.int32)
    output = Tensor(f"{x.name}'", height, width, channels, (int(random.choice([0, 3, 128, 255])),))
    return Conv(f"of {x.name}", x, output, weight, bias, gain.astype(np.float32), window)


def with_bias(op: Conv, largest: int, sign: int) -> Conv:
    """The same with weights of one sign, so that the sum of an image of 255 is `largest` in one direction."""
    weight = np.full_like(op.weight, 127 * sign)
    reached = 127 * sign * (255 - op.input.zero) * weight[0].size
    bias = np.full(len(weight), sign * largest - reached, np.int64)
    gain = np.full(len(weight), 100 / largest, np.float32)
    return replace(op, weight=weight, bias=bias.astype(np.int32), multiplier=gain)
