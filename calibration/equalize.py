"""Rescales channels to minimise quantisation noise in the logits; the network computes the same.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (ICCV 2019), section
4.1, uses that a Relu commutes with positive factors to move ranges from one convolution to the next. Here the
factors also run along the residual streams (see `channels`), and instead of making weight ranges equal they
minimise the noise model of `noise`.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import OnnxGraph, attribute, drop_unused_initializers, tensor_proto
from calibration.placement import place
from calibration.scheme import RecipeBase
from calibration.weight_layers import ordered_weight

if TYPE_CHECKING:
    from calibration.channels import ChannelGroups


def equalized(
    graph: OnnxGraph,
    images: Iterable[NDArray[np.uint8]],
    recipe: RecipeBase,
    on_batch: Callable[[int], None] = lambda _: None,
) -> onnx.ModelProto:
    """Return the float model with channels rescaled for `recipe`; it computes the same logits.

    Looks at the first 256 of `images` (batches of uint8 [n, H, W, C]) and reports each batch's size to
    `on_batch`. Raises ModelError for graphs with operators that `replay` does not know, and ImagesError for
    no images.
    """
    from calibration.channels import ChannelGroups
    from calibration.noise import channel_statistics, quietest_factors

    placement = place(graph, recipe)
    groups = ChannelGroups(graph)
    outputs = [graph.nodes[i].output[0] for i in placement.layers]
    tensors = tuple(dict.fromkeys([*placement.observed, *outputs]))
    seen = channel_statistics(graph, tensors, images, on_batch)
    factors = quietest_factors(graph, placement, recipe.scheme, groups, seen)
    return rescaled(graph, groups, factors)


def rescaled(graph: OnnxGraph, groups: "ChannelGroups", factors: NDArray[np.float64]) -> onnx.ModelProto:
    """Return the float model whose tensors hold x / e for the factor e of each channel's group.

    `factors` is float64 [groups.count], positive, the first one 1. It computes the same logits.
    """
    result = onnx.ModelProto()
    result.CopyFrom(graph.model)
    for i, node in enumerate(graph.nodes):
        if node.op_type in ("Conv", "Gemm"):
            _rescale(graph, result.graph, i, groups, factors)
    begun = {tensor: 1 / factors[groups.channels_of(tensor)] for tensor in groups.begun}
    _begin(graph, result.graph, {tensor: each for tensor, each in begun.items() if (each != 1).any()})
    drop_unused_initializers(result)
    return result


def _begin(graph: OnnxGraph, result: onnx.GraphProto, begun: dict[str, NDArray[np.float64]]) -> None:
    """Multiply the channels of tensors by a number each, for all that read them."""
    for tensor in begun:
        for edge in graph.consumers(tensor):
            result.node[edge.node].input[edge.slot] = f"{tensor}/rescaled"
    nodes = []
    for node in result.node:
        nodes.append(node)
        for tensor in set(node.output) & set(begun):
            name, each = f"{tensor}/rescaled", begun[tensor].astype(np.float32)
            producer = graph.producer(tensor)
            flat = producer is not None and _behind_gemm(graph, producer)
            result.initializer.append(
                tensor_proto(f"{name}/factors", each.reshape((1, -1) if flat else (1, -1, 1, 1)))
            )
            nodes.append(onnx.helper.make_node("Mul", [tensor, f"{name}/factors"], [name], f"{name}/Mul"))
    del result.node[:]
    result.node.extend(nodes)


def _behind_gemm(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    """Whether a chain of functions begins at a Gemm, and not at a Conv."""
    while node.op_type not in ("Conv", "Gemm"):
        computed = next(name for name in node.input if graph.producer(name) and not graph.is_constant(name))
        behind = graph.producer(computed)
        if behind is None:
            return False
        node = behind
    return node.op_type == "Gemm"


def _rescale(
    graph: OnnxGraph,
    result: onnx.GraphProto,
    index: int,
    groups: "ChannelGroups",
    factors: NDArray[np.float64],
) -> None:
    """Multiply a layer's weights by its input's factors and divide weights and bias by its output's."""
    node = graph.nodes[index]
    weight = ordered_weight(graph, node)
    parts = attribute(node, "group", 1) if node.op_type == "Conv" else 1
    spatial = (1,) * (weight.ndim - 2)
    into = factors[groups.of(node.input[0], weight.shape[1] * parts)].reshape(parts, 1, -1, *spatial)
    out = factors[groups.of(node.output[0], len(weight))]
    grouped = weight.reshape(parts, -1, *weight.shape[1:]) * into
    scaled = (grouped.reshape(weight.shape) / out.reshape(-1, 1, *spatial)).astype(np.float32)
    turned = node.op_type == "Gemm" and not attribute(node, "transB", 0)
    values = [scaled.T if turned else scaled]
    if len(node.input) > 2:
        bias = graph.constant(node.input[2])
        values += [] if bias is None else [(bias / out).astype(np.float32)]
    for slot, value in enumerate(values, start=1):
        name = f"{node.output[0]}/equalized/{slot}"
        result.initializer.append(tensor_proto(name, value))
        result.node[index].input[slot] = name
