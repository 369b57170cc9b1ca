"""Convolutions and matrix products whose sums leave 16 bits at every step.

On x86 without VNNI onnxruntime multiplies uint8 by int8 and adds pairs of products in int16 (`vpmaddubsw`),
which saturates. Weights of at least 100 beside values at both ends of their type make any such sum saturate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .canary_layer import SCALE, CanaryLayer, LayerEnd
from .onnx_bytes import node, tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .canary_layer import ActivationType, Integers
    from .onnx_bytes import Attribute


@dataclass(frozen=True)
class ProductLayer:
    """A convolution of [images, channels, side, side], or with `rows` a product with [rows, channels]."""

    name: str
    channels: int
    outputs: int
    kernel: int = 1
    side: int = 9
    stride: int = 1
    pad: int = 0
    group: int = 1
    images: int = 1
    rows: int = 0
    operator: str = "Conv"
    end: LayerEnd = LayerEnd.QUANTISED

    @property
    def read(self) -> tuple[int, ...]:
        """Return the shape of its input."""
        return (self.rows, self.channels) if self.rows else (self.images, self.channels, self.side, self.side)

    @property
    def weights(self) -> tuple[int, ...]:
        """Return the shape of its weights, outputs first."""
        kernel = (self.kernel,) * (0 if self.rows else 2)
        return (self.outputs, self.channels // self.group, *kernel)


PRODUCTS = (
    ProductLayer("conv3x3", 16, 16, kernel=3, pad=1),
    ProductLayer("conv3x3_relu", 16, 32, kernel=3, end=LayerEnd.RELU),
    ProductLayer("conv3x3_batch", 16, 17, kernel=3, images=3),
    ProductLayer("conv3x3_stride", 32, 8, kernel=3, stride=2, pad=1),
    ProductLayer("conv3x3_large", 32, 32, kernel=3, side=20, pad=1),
    ProductLayer("conv1x1", 64, 24),
    ProductLayer("conv1x1_odd", 13, 5),
    ProductLayer("conv1x1_relu", 64, 64, end=LayerEnd.RELU),
    ProductLayer("conv1x1_pixel", 64, 40, side=1),
    ProductLayer("stem", 3, 16, kernel=7, stride=2, side=17),
    ProductLayer("one_channel", 1, 16, kernel=3, pad=1),
    ProductLayer("grouped", 32, 32, kernel=3, group=4),
    ProductLayer("depthwise", 16, 16, kernel=3, group=16, pad=1),
    ProductLayer("depthwise_wide", 64, 64, kernel=3, group=64, stride=2, pad=1),
    ProductLayer("depthwise_odd", 10, 10, kernel=5, group=10),
    ProductLayer("depthwise_twofold", 8, 16, kernel=3, group=8),
    ProductLayer("gemm", 64, 10, rows=1, operator="Gemm"),
    ProductLayer("gemm_rows", 147, 33, rows=6, operator="Gemm"),
    ProductLayer("gemm_large", 256, 64, rows=50, operator="Gemm"),
    ProductLayer("classifier", 64, 10, rows=1, operator="Gemm", end=LayerEnd.FLOAT),
    ProductLayer("classifier_rows", 64, 10, rows=8, operator="Gemm", end=LayerEnd.FLOAT),
    ProductLayer("matmul", 64, 16, rows=4, operator="MatMul"),
    ProductLayer("matmul_row", 128, 10, rows=1, operator="MatMul"),
    ProductLayer("matmul_float", 64, 16, rows=4, operator="MatMul", end=LayerEnd.FLOAT),
)
"""Shapes for which onnxruntime has kernels of their own: one row and several, depthwise, grouped, odd."""


def product_layer(shape: ProductLayer, activation: ActivationType) -> CanaryLayer:
    """Return a layer with its values, the same in every process."""
    random = np.random.RandomState(0)
    x = _at_the_ends(shape, activation, random)
    weights = large_weights(shape, random)
    fine = np.arange(shape.outputs) % 2  # every other channel has half the scale
    has_bias = shape.operator != "MatMul"
    bias = random.randint(-500, 501, shape.outputs) * has_bias
    channels = (-1,) + (1,) * (0 if shape.rows else 2)
    answer = (sums(shape, x, weights) + bias.reshape(channels)) * (2 - fine).reshape(channels)
    unit = SCALE * SCALE / 2
    scales = (SCALE / (1 + fine)).astype(np.float32)
    name = shape.name
    stored = weights.T if shape.operator == "MatMul" else weights
    tensors = [
        tensor(f"{name}_w", stored.astype(np.int8)),
        tensor(f"{name}_ws", scales),
        tensor(f"{name}_wz", np.zeros(shape.outputs, np.int8)),
    ]
    read = [f"{name}_0", f"{name}_wf"]
    if has_bias:
        tensors.append(tensor(f"{name}_b", (bias * SCALE).astype(np.float32) * scales))
        read.append(f"{name}_b")
    axis = 1 if shape.operator == "MatMul" else 0
    nodes = [
        node("DequantizeLinear", [f"{name}_{word}" for word in ("w", "ws", "wz")], f"{name}_wf", axis=axis),
        node(shape.operator, read, f"{name}_y", **_attributes(shape)),
    ]
    return CanaryLayer(name, (x,), nodes, answer.astype(np.int64), unit, shape.end, tensors)


def _attributes(layer: ProductLayer) -> dict[str, Attribute]:
    if layer.operator == "Gemm":
        return {"transB": 1}
    if layer.operator == "MatMul":
        return {}
    return {
        "kernel_shape": [layer.kernel] * 2,
        "strides": [layer.stride] * 2,
        "pads": [layer.pad] * 4,
        "group": layer.group,
    }


def _at_the_ends(layer: ProductLayer, activation: ActivationType, random: np.random.RandomState) -> Integers:
    low, high = activation.ends
    return random.choice([low, high, high], layer.read).astype(np.int64)


def large_weights(layer: ProductLayer, random: np.random.RandomState) -> Integers:
    """Return weights of 100 to 127, outputs first: channels above zero, below zero, and mixed in turn."""
    weights = random.randint(100, 128, layer.weights)
    weights[1::3] *= -1
    mixed = weights[2::3]
    mixed *= random.choice([-1, 1, 1, 1], mixed.shape)
    return weights.astype(np.int64)


def sums(layer: ProductLayer, x: Integers, weights: Integers) -> Integers:
    """Return the layer's sums of products: [rows, outputs] or [images, outputs, height, width]."""
    if layer.rows:
        return x @ weights.T
    around = ((0, 0), (0, 0), (layer.pad, layer.pad), (layer.pad, layer.pad))
    return np.concatenate(list(_by_group(layer, np.pad(x, around), weights)), axis=1)


def _by_group(layer: ProductLayer, x: Integers, weights: Integers) -> Iterator[Integers]:
    windows = np.lib.stride_tricks.sliding_window_view(x, (layer.kernel, layer.kernel), axis=(2, 3))
    windows = windows[:, :, :: layer.stride, :: layer.stride]
    inputs, outputs = layer.channels // layer.group, layer.outputs // layer.group
    for group in range(layer.group):
        seen = windows[:, group * inputs : (group + 1) * inputs]
        own = weights[group * outputs : (group + 1) * outputs]
        yield np.tensordot(seen, own, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
