"""Small quantised layers whose sums leave 16 bits at every step, and what they have to give.

On x86 without VNNI onnxruntime multiplies uint8 by int8 and adds pairs of products in int16 (`vpmaddubsw`),
which saturates. The layers here are built so that any such sum does: the largest weights, and values at both
ends. The right answers come from integer arithmetic in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .onnx_bytes import model, node, tensor, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .onnx_bytes import Attribute

    Integers = NDArray[np.int64]

SCHEMES = (("uint8", 0), ("uint8", 128), ("int8", 0))
"""Type and zero point of activations: behind ReLU, around zero, and symmetric."""
SCALE = np.float32(2.0**-4)
"""Of activations and weights: a power of two, so that scales are exact."""


@dataclass(frozen=True)
class CanaryLayer:
    """One quantised layer: a convolution of [N, C, H, W], or with `rows` a matrix product [rows, C]."""

    name: str
    channels: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    group: int = 1
    images: int = 1
    rows: int = 0
    operator: str = "Conv"
    relu: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of what it reads."""
        side = 2 * self.kernel + 3
        return (self.rows, self.channels) if self.rows else (self.images, self.channels, side, side)


LAYERS = (
    CanaryLayer("conv3x3", 16, 16, kernel=3),
    CanaryLayer("conv3x3_relu", 16, 32, kernel=3, relu=True),
    CanaryLayer("conv3x3_batch", 16, 17, kernel=3, images=3),
    CanaryLayer("conv3x3_stride", 32, 8, kernel=3, stride=2),
    CanaryLayer("conv1x1", 64, 24),
    CanaryLayer("conv1x1_odd", 13, 5),
    CanaryLayer("conv1x1_relu", 64, 64, relu=True),
    CanaryLayer("stem", 3, 16, kernel=7, stride=2),
    CanaryLayer("grouped", 32, 32, kernel=3, group=4),
    CanaryLayer("depthwise", 16, 16, kernel=3, group=16),
    CanaryLayer("depthwise_odd", 10, 10, kernel=5, group=10),
    CanaryLayer("gemm", 64, 10, rows=1, operator="Gemm"),
    CanaryLayer("gemm_rows", 147, 33, rows=6, operator="Gemm"),
    CanaryLayer("matmul", 64, 16, rows=4, operator="MatMul"),
    CanaryLayer("matmul_row", 128, 10, rows=1, operator="MatMul"),
)
"""Shapes for which onnxruntime has kernels of their own: one row and several, depthwise, grouped, odd."""


@dataclass(frozen=True)
class Canary:
    """A model as bytes, what to feed it, and what it has to answer, by name."""

    model: bytes
    inputs: dict[str, NDArray[np.generic]]
    expected: dict[str, Integers]


def canary(element: str, zero: int) -> Canary:
    """Return the canary of one scheme: every layer of LAYERS between its own input and output."""
    random = np.random.RandomState(0)
    parts = [_part(layer, element, zero, random) for layer in LAYERS]
    return Canary(
        model(
            [one for part in parts for one in part.nodes],
            [one for part in parts for one in part.tensors],
            [value(part.layer.name, element, part.layer.shape) for part in parts],
            [value(f"{part.layer.name}_y", element, part.answer.shape) for part in parts],
        ),
        {part.layer.name: part.x for part in parts},
        {f"{part.layer.name}_y": part.answer for part in parts},
    )


@dataclass(frozen=True)
class _Part:
    layer: CanaryLayer
    x: NDArray[np.generic]
    answer: Integers
    nodes: list[bytes]
    tensors: list[bytes]


def _part(layer: CanaryLayer, element: str, zero: int, random: np.random.RandomState) -> _Part:
    low, high = (0, 255) if element == "uint8" else (-128, 127)
    x = random.choice([low, high, high], layer.shape).astype(element)
    weights = _weights(layer, random)
    bias = random.randint(-500, 501, layer.outputs).astype(np.int64) * (layer.operator != "MatMul")
    sums = _sums(layer, x.astype(np.int64) - zero, weights)
    sums = sums + (bias if layer.rows else bias.reshape(-1, 1, 1))
    sums = np.maximum(sums, 0) if layer.relu else sums
    step = np.float32(2.0 ** np.ceil(np.log2(np.abs(sums).max() / 120)))
    middle = 128 if element == "uint8" else 0
    answer = np.rint(sums / step).astype(np.int64) + middle
    name, constant = layer.name, f"{layer.name}_"
    dense = weights if layer.operator == "Conv" else weights.T
    tensors = [
        tensor(f"{constant}s", np.array(SCALE)),
        tensor(f"{constant}z", np.array(zero, element)),
        tensor(f"{constant}w", dense.astype(np.int8)),
        tensor(f"{constant}ws", np.full(layer.outputs, SCALE)),
        tensor(f"{constant}wz", np.zeros(layer.outputs, np.int8)),
        tensor(f"{constant}b", bias.astype(np.float32) * SCALE * SCALE),
        tensor(f"{constant}ys", np.array(step * SCALE * SCALE, np.float32)),
        tensor(f"{constant}yz", np.array(middle, element)),
    ]
    last = f"{constant}{'yr' if layer.relu else 'yf'}"
    convolves = layer.operator == "Conv"
    sides: dict[str, Attribute] = {
        "kernel_shape": [layer.kernel] * 2,
        "strides": [layer.stride] * 2,
        "group": layer.group,
    }
    nodes = [
        node("DequantizeLinear", [name, f"{constant}s", f"{constant}z"], f"{constant}xf"),
        node(
            "DequantizeLinear",
            [f"{constant}{word}" for word in ("w", "ws", "wz")],
            f"{constant}wf",
            axis=0 if convolves else 1,
        ),
        node(
            layer.operator,
            [f"{constant}{word}" for word in ("xf", "wf", "b")[: 2 if layer.operator == "MatMul" else 3]],
            f"{constant}yf",
            **(sides if convolves else {}),
        ),
        *([node("Relu", [f"{constant}yf"], f"{constant}yr")] if layer.relu else []),
        node("QuantizeLinear", [last, f"{constant}ys", f"{constant}yz"], f"{constant}y"),
    ]
    return _Part(layer, x, answer, nodes, tensors)


def _weights(layer: CanaryLayer, random: np.random.RandomState) -> Integers:
    """Return [outputs, inputs a group, kernel, kernel], or [outputs, inputs]: of one sign, and mixed."""
    shape = (layer.outputs, layer.channels // layer.group) + (layer.kernel,) * (0 if layer.rows else 2)
    weights = random.randint(100, 128, shape)
    weights[1::3] *= -1
    mixed = weights[2::3]
    mixed *= random.choice([-1, 1, 1, 1], mixed.shape)
    return weights.astype(np.int64)


def _sums(layer: CanaryLayer, x: Integers, weights: Integers) -> Integers:
    if layer.rows:
        return x @ weights.T
    return np.concatenate(list(_convolved(layer, x, weights)), axis=1)


def _convolved(layer: CanaryLayer, x: Integers, weights: Integers) -> Iterator[Integers]:
    windows = np.lib.stride_tricks.sliding_window_view(x, (layer.kernel, layer.kernel), axis=(2, 3))
    windows = windows[:, :, :: layer.stride, :: layer.stride]
    inputs, outputs = layer.channels // layer.group, layer.outputs // layer.group
    for group in range(layer.group):
        seen = windows[:, group * inputs : (group + 1) * inputs]
        yield np.einsum("nchwij,kcij->nkhw", seen, weights[group * outputs : (group + 1) * outputs])
