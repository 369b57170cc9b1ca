"""Pairs of weights whose products some engines add in 16 bits, where they saturate.

CPUs without VNNI multiply unsigned bytes by signed ones with `vpmaddubsw`, which adds the products of two
neighbours in int16 and saturates. Engines make activations unsigned (int8 ones by adding 128), so a pair is
safe for every input if its positive weights add up to at most 128, and its negative ones too.

Which weights are neighbours was measured, by giving onnxruntime 1.32 and OpenVINO 2026.4 all possible pairs
of a layer on an emulated Haswell: two that follow each other in the order kernel row, kernel column, input
channel, counted through (onnxruntime; OpenVINO's grouped convolutions and matrix products) or from each
position of the kernel anew (OpenVINO's other convolutions). Both are the same for an even number of channels.
Depthwise convolutions were exact in both. XNNPACK's AVX2 kernels for 8 bits widen to int16 first and add in
int32 (`qs8-gemm/MRx8c8-avx2.c.in`): they are exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import OnnxGraph, attribute, node_label

PAIR_LIMIT = 128
"""Limit of the sum of a pair's positive weights, and of its negative ones: 255 * 128 < 2^15 < 255 * 129."""


@dataclass(frozen=True)
class LayerPairs:
    """Of one 8-bit layer: pairs of weights whose products are added in 16 bits, and how many can saturate."""

    layer: str
    pairs: int
    saturating: int


def count_pairs(model: Path) -> tuple[LayerPairs, ...]:
    """Count the pairs of each 8-bit layer of a Q/DQ ONNX model, in graph order. Raises ModelError."""
    return tuple(_of_graph(OnnxGraph.load(model)))


def _of_graph(graph: OnnxGraph) -> Iterator[LayerPairs]:
    for node in graph.nodes:
        weight = _int8_weight(graph, node)
        if weight is not None:
            pairs = neighbours(weight.shape, attribute(node, "group", 1))
            found = can_saturate(weight.reshape(len(weight), -1), pairs)
            yield LayerPairs(node_label(node), found.size, int(found.sum()))


def _int8_weight(graph: OnnxGraph, node: onnx.NodeProto) -> NDArray[Any] | None:
    """The weights of a Conv, Gemm or MatMul, output channel first, if integer engines run it."""
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    producers = [graph.producer(name) for name in node.input[:2]]
    if any(one is None or one.op_type != "DequantizeLinear" for one in producers) or producers[1] is None:
        return None
    weight = graph.constant(producers[1].input[0])
    if weight is None or weight.dtype != np.int8:
        return None
    turned = node.op_type == "MatMul" or (node.op_type == "Gemm" and not attribute(node, "transB", 0))
    return np.moveaxis(weight, -1, 0) if turned else weight


def neighbours(shape: tuple[int, ...], groups: int = 1) -> NDArray[np.intp]:
    """intp [pairs, 2]: the weights of an output channel that are added in 16 bits, in some engine.

    `shape` is [K, C / groups, *kernel]; weights of a channel are numbered in its order. A depthwise
    convolution has none.
    """
    outputs, channels, *kernel = shape
    if groups > 1 and channels == 1 and outputs == groups:
        return np.empty((0, 2), np.intp)
    numbers = np.moveaxis(np.arange(int(np.prod(shape[1:]))).reshape(channels, *kernel), 0, -1)
    orders = [numbers.ravel(), *numbers.reshape(-1, channels)]
    found = {
        pair for order in orders for pair in zip(order[0::2].tolist(), order[1::2].tolist(), strict=False)
    }
    return np.array(sorted(found), np.intp).reshape(-1, 2)


def can_saturate(weight: NDArray[np.int8], pairs: NDArray[np.intp]) -> NDArray[np.bool_]:
    """bool [K, pairs]: whether some input takes a pair's sum out of int16. `weight` is int8 [K, D]."""
    two = weight.astype(np.int32)[:, pairs]
    above, below = np.maximum(two, 0).sum(axis=2), np.maximum(-two, 0).sum(axis=2)
    found: NDArray[np.bool_] = np.maximum(above, below) > PAIR_LIMIT
    return found
