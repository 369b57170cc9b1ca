"""Writes transposed convolutions as convolutions of the small map, whose channels then become pixels.

Of each group of `stride` pixels, every pixel is a sum over the input pixels near the group, with every
stride-th weight of the kernel: an ordinary convolution. All of them together are one with stride^2 times the
channels, and DepthToSpace puts these beside each other (Shi et al. 2016, "Is the deconvolution layer the same
as a convolutional layer?"). Every engine computes that in INT8.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, shape_inference

from calibration.onnx_graph import OnnxGraph, attribute, tensor_proto
from pipeline.models.foreign.batch_norm import gain_and_shift

_BOUNDS = frozenset({"Relu", "Clip"})


@dataclass(frozen=True)
class Direction:
    """One direction of a transposed convolution. `pad`: the pixels that it drops at the start."""

    length: int
    result: int
    kernel: int
    stride: int
    pad: int

    @property
    def groups(self) -> int:
        """How many groups of `stride` pixels cover the result."""
        return -(-self.result // self.stride)

    @property
    def near(self) -> range:
        """The input pixels that a group depends on, relative to the pixel with the group's index."""
        first = -((self.kernel - 1 - self.pad) // self.stride)
        return range(first, (self.stride - 1 + self.pad) // self.stride + 1)

    @property
    def pads(self) -> tuple[int, int]:
        """How many zeros the convolution reads before and behind the input."""
        return -self.near[0], self.groups - self.length + self.near[-1]

    def tap(self, pixel: int, near: int) -> int | None:
        """The weight by which a pixel of a group reads an input pixel; None if it does not."""
        found = pixel + self.pad - self.stride * near
        return found if 0 <= found < self.kernel else None


@dataclass(frozen=True)
class _TransposedLayer:
    """A transposed convolution: weight [C, K / groups, R, S], bias [K], and the bounds behind it."""

    node: onnx.NodeProto
    axes: tuple[Direction, Direction]
    groups: int
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    output: str
    bounds: onnx.NodeProto | None = None


def write_transposed_as_convolutions(model: onnx.ModelProto) -> None:
    """Rewrite each ConvTranspose of known size with constant weights and one stride for both directions.

    A batch norm behind it is folded in, and Relu or Clip is applied before pixels are moved.
    """
    graph = OnnxGraph(model)
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    written: dict[str, list[onnx.NodeProto]] = {}
    taken: set[str] = set()
    for node in graph.nodes:
        layer = _layer(graph, node, shapes) if node.op_type == "ConvTranspose" else None
        if layer is not None:
            layer, followers = _with_followers(graph, layer)
            taken.update(one.output[0] for one in (node, *followers))
            written[layer.output] = list(_nodes(model, layer))
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        made = [] if node.output[0] in taken else [node]
        nodes += written.get(node.output[0], made)  # where the last one was: its constants may come late
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _layer(graph: OnnxGraph, node: onnx.NodeProto, shapes: dict[str, list[int]]) -> _TransposedLayer | None:
    weight = graph.constant(node.input[1])
    bias = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    known = (shapes.get(node.input[0], []), shapes.get(node.output[0], []))
    if weight is None or weight.ndim != 4 or any(len(s) != 4 or not all(s[2:]) for s in known):
        return None
    strides, groups = attribute(node, "strides", [1, 1]), attribute(node, "group", 1)
    odd = attribute(node, "auto_pad", b"NOTSET") != b"NOTSET" or attribute(node, "output_shape")
    if odd or strides[0] != strides[1] or set(attribute(node, "dilations", [1, 1])) != {1}:
        return None
    pads, count = attribute(node, "pads", [0, 0, 0, 0]), weight.shape[1] * groups
    both = [
        Direction(before, after, kernel, stride, pad)
        for before, after, kernel, stride, pad in zip(
            known[0][2:], known[1][2:], weight.shape[2:], strides, pads[:2], strict=True
        )
    ]
    if any(min(axis.pads) < 0 for axis in both):
        return None
    values = np.zeros(count, np.float32) if bias is None else np.asarray(bias, np.float32)
    return _TransposedLayer(
        node, (both[0], both[1]), groups, np.asarray(weight, np.float32), values, node.output[0]
    )


def _with_followers(
    graph: OnnxGraph, layer: _TransposedLayer
) -> tuple[_TransposedLayer, list[onnx.NodeProto]]:
    """The layer with a norm folded in and its bounds, and the nodes that are no longer needed."""
    followers: list[onnx.NodeProto] = []
    norm = _only_reader(graph, layer.output, {"BatchNormalization"})
    channels = None if norm is None else gain_and_shift(norm, graph.constant)
    if norm is not None and channels is not None:
        gain, shift = channels
        by_output = gain.reshape(layer.groups, 1, -1, 1, 1)
        parts = layer.weight.reshape(layer.groups, -1, *layer.weight.shape[1:]) * by_output
        layer = replace(
            layer,
            weight=parts.reshape(layer.weight.shape).astype(np.float32),
            bias=(layer.bias * gain + shift).astype(np.float32),
            output=norm.output[0],
        )
        followers.append(norm)
    bounds = _only_reader(graph, layer.output, _BOUNDS)
    if bounds is not None and all(graph.is_constant(name) for name in bounds.input[1:] if name):
        followers.append(bounds)
        layer = replace(layer, bounds=bounds, output=bounds.output[0])
    return layer, followers


def _only_reader(graph: OnnxGraph, tensor: str, kinds: set[str] | frozenset[str]) -> onnx.NodeProto | None:
    readers = [graph.nodes[edge.node] for edge in graph.consumers(tensor)]
    is_output = any(tensor == value.name for value in graph.model.graph.output)
    return readers[0] if len(readers) == 1 and not is_output and readers[0].op_type in kinds else None


def _nodes(model: onnx.ModelProto, layer: _TransposedLayer) -> Iterator[onnx.NodeProto]:
    """The nodes that compute the layer; their constants are added to the model."""
    node, (down, right) = layer.node, layer.axes
    name, stride = layer.output, down.stride
    weight, bias = as_convolution(layer.weight, layer.bias, layer.axes, layer.groups)
    model.graph.initializer.append(tensor_proto(f"{name}/weight", weight))
    model.graph.initializer.append(tensor_proto(f"{name}/bias", bias))
    pads = [down.pads[0], right.pads[0], down.pads[1], right.pads[1]]
    settings = {"pads": pads, "group": layer.groups, "kernel_shape": list(weight.shape[2:])}
    inputs = [node.input[0], f"{name}/weight", f"{name}/bias"]
    steps: list[tuple[str, list[str], dict[str, Any]]] = [("Conv", inputs, settings)]
    if layer.bounds is not None:
        steps.append((layer.bounds.op_type, ["", *layer.bounds.input[1:]], {}))
    if stride > 1:
        mode = "DCR" if layer.groups == 1 else "CRD"
        steps.append(("DepthToSpace", [""], {"blocksize": stride, "mode": mode}))
    whole = [axis.groups * axis.stride for axis in layer.axes]
    if whole != [axis.result for axis in layer.axes]:
        ends = [axis.result for axis in layer.axes]
        for what, numbers in (("starts", [0, 0]), ("ends", ends), ("axes", [2, 3]), ("steps", [1, 1])):
            model.graph.initializer.append(tensor_proto(f"{name}/{what}", np.array(numbers, np.int64)))
        slicing = [f"{name}/{what}" for what in ("starts", "ends", "axes", "steps")]
        steps.append(("Slice", ["", *slicing], {}))
    before = ""
    for i, (kind, read, attributes) in enumerate(steps):
        output = name if i == len(steps) - 1 else f"{name}/{kind}"
        label = node.name if kind == "Conv" else f"{node.name or name}/{kind}"
        yield helper.make_node(kind, [read[0] or before, *read[1:]], [output], label, **attributes)
        before = output


def as_convolution(
    weight: NDArray[Any], bias: NDArray[Any], axes: tuple[Direction, Direction], groups: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights [K * stride^2, C / groups, rows, columns] and the bias of the convolution.

    Channels are in the order of DepthToSpace: DCR for one group, CRD for several, which stay together.
    """
    down, right = axes
    stride, per_group = down.stride, weight.shape[1]
    parts = weight.reshape(groups, -1, *weight.shape[1:])  # [G, C / G, K / G, R, S]
    inputs = parts.shape[1]
    found = np.zeros(
        (groups, per_group, stride, stride, inputs, len(down.near), len(right.near)), weight.dtype
    )
    for a, b in product(range(stride), range(stride)):
        for (j, dy), (i, dx) in product(enumerate(down.near), enumerate(right.near)):
            r, s = down.tap(a, dy), right.tap(b, dx)
            if r is not None and s is not None:
                found[:, :, a, b, :, j, i] = parts[:, :, :, r, s].transpose(0, 2, 1)
    if groups == 1:  # pixels before channels
        ordered = found[0].transpose(1, 2, 0, 3, 4, 5)
        return ordered.reshape(-1, *ordered.shape[3:]), np.tile(bias, stride * stride)
    return found.reshape(-1, *found.shape[4:]), np.repeat(bias, stride * stride)
