"""Rescales channels to minimise quantisation noise in the logits; the network computes the same.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (ICCV 2019), section
4.1, uses that a Relu commutes with positive factors to move ranges from one convolution to the next. Here the
factors also run along the residual streams (see `channels`), and instead of making weight ranges equal they
minimise the noise model of `noise`.
"""

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import ModelError
from calibration.onnx_graph import OnnxGraph, drop_unused_initializers, node_label, tensor_proto
from calibration.placement import place
from calibration.scheme import RecipeBase


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
    result = onnx.ModelProto()
    result.CopyFrom(graph.model)
    for i, node in enumerate(graph.nodes):
        if node.op_type in ("Conv", "Gemm"):
            _rescale(graph, result.graph, i, groups.of, factors)
    drop_unused_initializers(result)
    return result


def _rescale(
    graph: OnnxGraph,
    result: onnx.GraphProto,
    index: int,
    groups_of: Callable[[str, int], NDArray[np.intp]],
    factors: NDArray[np.float64],
) -> None:
    """Multiply a layer's weights by its input's factors and divide weights and bias by its output's."""
    node = graph.nodes[index]
    weight = graph.constant(node.input[1])
    if weight is None:
        raise ModelError(f"{node_label(node)} has computed weights; they have to be constants.")
    turned = node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
    ordered = weight.T if turned else weight
    shape = (1,) * (ordered.ndim - 2)
    into = factors[groups_of(node.input[0], ordered.shape[1])].reshape(1, -1, *shape)
    out = factors[groups_of(node.output[0], ordered.shape[0])]
    scaled = (ordered * into / out.reshape(-1, 1, *shape)).astype(np.float32)
    values = [scaled.T if turned else scaled]
    if len(node.input) > 2:
        bias = graph.constant(node.input[2])
        values += [] if bias is None else [(bias / out).astype(np.float32)]
    for slot, value in enumerate(values, start=1):
        name = f"{node.output[0]}/equalized/{slot}"
        result.initializer.append(tensor_proto(name, value))
        result.node[index].input[slot] = name
