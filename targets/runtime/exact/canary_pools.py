"""Pools, sums, products and concatenation, which onnxruntime computes on 8-bit numbers too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .canary_layer import SCALE, CanaryLayer
from .onnx_bytes import node

if TYPE_CHECKING:
    from .canary_layer import ActivationType, Integers
    from .onnx_bytes import Attribute

SHAPE = (2, 19, 9, 9)
"""An odd number of channels: kernels take 8, 16 or 32 at once and the rest in another way."""
WINDOW, PAD = 3, 1
CELLS = 36
"""A common multiple of the cells that a window has at a corner (4), at an edge (6) and inside (9)."""


def pools_and_sums(activation: ActivationType) -> list[CanaryLayer]:
    """Return the layers, with the same values in every process."""
    random = np.random.RandomState(1)
    low, high = activation.ends
    x, y = (random.choice([low, high, high, (low + high) // 2], SHAPE).astype(np.int64) for _ in range(2))
    window: dict[str, Attribute] = {"kernel_shape": [WINDOW] * 2, "pads": [PAD] * 4}
    inside = np.pad(np.ones(SHAPE, np.int64), _around())
    total, cells = _windows(np.pad(x, _around())).sum((4, 5)), _windows(inside).sum((4, 5))
    largest = _windows(np.pad(x, _around(), constant_values=low)).max((4, 5))
    even = x[:, :, :8, :8].reshape(*SHAPE[:2], 4, 2, 4, 2)
    joined = np.concatenate([x, y], 1)
    return [
        CanaryLayer("add", (x, y), [_joining("Add", "add")], x + y, SCALE),
        CanaryLayer("mul", (x, y), [_joining("Mul", "mul")], x * y, SCALE * SCALE),
        CanaryLayer("concat", (x, y), [_joining("Concat", "concat", axis=1)], joined, SCALE),
        CanaryLayer("max_pool", (x,), [_pool("MaxPool", "max_pool", **window)], largest, SCALE),
        CanaryLayer(
            "average_inside",
            (x,),
            [_pool("AveragePool", "average_inside", **window)],
            total * (CELLS // cells),
            SCALE / CELLS,
        ),
        CanaryLayer(
            "average_padded",
            (x,),
            [_pool("AveragePool", "average_padded", count_include_pad=1, **window)],
            total,
            SCALE / WINDOW**2,
        ),
        CanaryLayer(
            "average_even",
            (x[:, :, :8, :8],),
            [_pool("AveragePool", "average_even", kernel_shape=[2, 2], strides=[2, 2])],
            even.sum((3, 5)),
            SCALE / 4,
        ),
        CanaryLayer(
            "global_average",
            (x,),
            [_pool("GlobalAveragePool", "global_average")],
            x.sum((2, 3), keepdims=True),
            SCALE / (SHAPE[2] * SHAPE[3]),
        ),
    ]


def _joining(operator: str, name: str, **attributes: Attribute) -> bytes:
    return node(operator, [f"{name}_0", f"{name}_1"], f"{name}_y", **attributes)


def _pool(operator: str, name: str, **attributes: Attribute) -> bytes:
    return node(operator, [f"{name}_0"], f"{name}_y", **attributes)


def _around() -> tuple[tuple[int, int], ...]:
    return ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD))


def _windows(x: Integers) -> Integers:
    """Return [N, C, H, W, 3, 3]."""
    return np.lib.stride_tricks.sliding_window_view(x, (WINDOW, WINDOW), axis=(2, 3))
