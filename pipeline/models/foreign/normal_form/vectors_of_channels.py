"""Keeps vectors of channels in [N, C, 1, 1] where a network transposes them, as ECA does (Wang et al. 2020).

A convolution along such a vector is a 1 x 1 convolution of all channels, whose matrix is banded: every engine
computes that in INT8, and nothing has to be moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.normal_form.known_shapes import Shapes, shapes

_MOVES = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
_FUNCTIONS = frozenset({"Sigmoid", "HardSigmoid", "Tanh", "Relu", "LeakyRelu", "HardSwish", "Softplus"})
_MOST = 2048
"""Channels; of more, the matrix would be too large."""


def keep_vectors_upright(model: onnx.ModelProto) -> None:
    """Rewrite convolutions along channels, what is applied behind them, and the moves around both.

    Raises onnxruntime's exceptions for a model that it refuses.
    """
    weights = {one.name: one for one in model.graph.initializer}
    if any(_is_along(node, weights) for node in model.graph.node):
        names = [name for node in model.graph.node for name in (*node.input, *node.output) if name]
        known = [name for name in dict.fromkeys(names) if name not in weights]
        _Upright(model, shapes(model, known, 2)).write()


def _is_along(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    """Whether a convolution has one channel, and a kernel in one direction only."""
    if node.op_type != "Conv" or node.input[1] not in weights:
        return False
    size = list(weights[node.input[1]].dims)
    return size[:2] == [1, 1] and sum(side > 1 for side in size[2:]) == 1


@dataclass
class _Upright:
    """Follows vectors through the graph: `upright` maps a transposed vector to the tensor [N, C, 1, 1]."""

    model: onnx.ModelProto
    sizes: Shapes
    upright: dict[str, str] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def write(self) -> None:
        stood_up: dict[str, str] = {}
        for node in self.model.graph.node:
            node.input[:] = [stood_up.get(name, name) for name in node.input]
            self.nodes.append(node)
            source = self._upright(node.input[0]) if node.input and len(node.output) == 1 else None
            if source is None:
                continue
            made = self._made(node, source)
            if made is not None:
                self.upright[node.output[0]] = made
                if self._stands(node.output[0]):
                    stood_up[node.output[0]] = made
        write_nodes(self.model.graph, self.nodes, stood_up)

    def _stands(self, name: str) -> bool:
        size = self.sizes.get(name, ())
        return len(size) == 4 and size[2:] == (1, 1)

    def _upright(self, name: str) -> str | None:
        if name in self.upright:
            return self.upright[name]
        return name if self._stands(name) and 1 < self.sizes[name][1] <= _MOST else None

    def _made(self, node: onnx.NodeProto, source: str) -> str | None:
        """Return a node's output for a vector in [N, C, 1, 1]; None where it has no such form."""
        before, after = (self.sizes.get(name, ()) for name in (node.input[0], node.output[0]))
        vector = len(after) > 1 and after[0] == before[0] and sum(side > 1 for side in after[1:]) == 1
        if not vector or max(after[1:]) != self.sizes[source][1]:
            return None
        if node.op_type in _MOVES:
            return None if attribute(node, "perm", [0])[0] else source
        if node.input[0] not in self.upright or self._stands(node.input[0]):
            return None
        if node.op_type in _FUNCTIONS:
            return self._add(node, [source])
        weights = {one.name: one for one in self.model.graph.initializer}
        return self._convolved(node, source, weights) if _is_along(node, weights) else None

    def _convolved(
        self, node: onnx.NodeProto, source: str, weights: dict[str, onnx.TensorProto]
    ) -> str | None:
        kernel = numpy_helper.to_array(weights[node.input[1]])
        axis = int(np.argmax(kernel.shape[2:]))
        channels, sides = self.sizes[source][1], kernel.ndim - 2
        if self.sizes[node.input[0]][2 + axis] != channels:
            return None
        if set(attribute(node, "strides", [1])) != {1} or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
            return None
        step = attribute(node, "dilations", [1] * sides)[axis]
        begin = attribute(node, "pads", [0] * 2 * sides)[axis]
        bias = (
            numpy_helper.to_array(weights[node.input[2]]) if len(node.input) > 2 else np.zeros(1, np.float32)
        )
        name = f"{node.output[0]}/matrix"
        for suffix, value in (
            ("", banded(kernel.ravel(), channels, step, begin)[:, :, None, None]),
            ("/bias", np.repeat(bias.astype(np.float32), channels)),
        ):
            self.model.graph.initializer.append(numpy_helper.from_array(value, name + suffix))
        made = helper.make_node("Conv", [source, name, f"{name}/bias"], [], kernel_shape=[1, 1])
        return self._add(made, list(made.input), node.output[0])

    def _add(self, node: onnx.NodeProto, inputs: list[str], output: str = "") -> str:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = inputs
        name = f"{output or node.output[0]}/upright"
        copy.name, copy.output[:] = name, [name]
        self.sizes[name] = self.sizes[inputs[0]]
        self.nodes.append(copy)
        return name


def write_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto], same: Mapping[str, str]) -> None:
    """Replace the nodes of a graph; outputs of it that are the `same` as other tensors are given by these."""
    outputs = {value.name for value in graph.output} & same.keys()
    kept = [node for node in nodes if not outputs & set(node.output)]
    del graph.node[:]
    graph.node.extend(kept)
    graph.node.extend(helper.make_node("Identity", [same[name]], [name], f"{name}/same") for name in outputs)


def banded(kernel: NDArray[np.generic], channels: int, step: int, begin: int) -> NDArray[np.float32]:
    """Return the matrix [C, C] of a convolution along a vector of C, with `begin` zeros in front."""
    matrix = np.zeros((channels, channels), np.float32)
    for tap, value in enumerate(kernel):
        for row in range(channels):
            column = row + tap * step - begin
            if 0 <= column < channels:
                matrix[row, column] = value
    return matrix
