"""Weights of Conv and Gemm layers in the form of integer engines: output channel first, pixels folded in."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import ModelError
from calibration.fold_pixels import PixelInput
from calibration.onnx_graph import OnnxGraph, attribute, node_label


@dataclass(frozen=True)
class LayerWeights:
    """weight float32 [K, C, R, S] (Conv) or [K, C] (Gemm), bias float32 [K]."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def ordered_weight(graph: OnnxGraph, node: onnx.NodeProto) -> NDArray[np.float32]:
    """The weights of a Conv or Gemm, output channel first. Raises ModelError for computed ones."""
    weight = graph.constant(node.input[1])
    if weight is None:
        raise ModelError(f"{node_label(node)} has computed weights; they have to be constants.")
    turned = node.op_type == "Gemm" and not attribute(node, "transB", 0)
    return np.asarray(weight.T if turned else weight, np.float32)


def layer_weights(graph: OnnxGraph, index: int, pixels: PixelInput | None) -> LayerWeights:
    """Read the layer of node `index`; its normalisation is folded in if it is the one behind `pixels`.

    Raises ModelError for a Gemm that is more than x @ W + b, and for weights that are not finite.
    """
    node = graph.nodes[index]
    weight = ordered_weight(graph, node)
    bias = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    plain = {"transA": 0, "alpha": 1.0, "beta": 1.0}
    if node.op_type == "Gemm" and any(attribute(node, name, value) != value for name, value in plain.items()):
        raise ModelError(f"{node_label(node)} has transA, alpha or beta; only x @ W + b can be quantised.")
    bias = (
        np.zeros(len(weight), np.float32)
        if bias is None
        else np.broadcast_to(np.asarray(bias, np.float32), len(weight))
    )
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ModelError(
            f"{node_label(node)} has weights or a bias that are not finite. Check the checkpoint."
        )
    if pixels and index == pixels.conv:
        weight, bias = pixels.fold(weight, bias)
    return LayerWeights(weight, bias)
