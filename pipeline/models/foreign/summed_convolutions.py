"""Writes convolutions of one tensor of which only the sum is read as one convolution.

RepVGG and MobileOne begin so in the form that is trained (3 x 3 and 1 x 1 beside each other), and stems with
a projected shortcut. One convolution reads the pixels as they are; several would read them rounded.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.onnx_graph import attribute, tensor_proto
from pipeline.models.foreign.node_readers import readers_by_tensor
from pipeline.models.foreign.replaced_nodes import replace_nodes

ORDINARY = {"group": 1, "auto_pad": b"NOTSET", "dilations": [1, 1]}


def merge_summed_convolutions(graph: onnx.GraphProto, tensor: str) -> None:
    """Write sums of two convolutions of `tensor` as one, until there is none left."""
    while (pair := _first_pair(graph, tensor)) is not None:
        add, kernel = pair
        weight, bias = (f"{add.output[0]}/{word}" for word in ("weight", "bias"))
        graph.initializer.append(tensor_proto(weight, kernel.weight.astype(np.float32)))
        graph.initializer.append(tensor_proto(bias, kernel.bias.astype(np.float32)))
        node = helper.make_node(
            "Conv",
            [tensor, weight, bias],
            add.output,
            add.name,
            strides=kernel.strides,
            pads=kernel.pads,
        )
        replace_nodes(graph, {add.input[0]: (), add.input[1]: (), add.output[0]: (node,)})


@dataclass(frozen=True)
class _Kernel:
    """A convolution that is not dilated and has no groups: weight float64 [K, C, R, S], bias float64 [K].

    `before` is the padding in front of rows and columns. At stride 1 the output has `grows` rows and columns
    more than the image.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    strides: tuple[int, int]
    before: tuple[int, int]
    grows: tuple[int, int]

    @classmethod
    def of(cls, node: onnx.NodeProto, constants: dict[str, NDArray[np.generic]]) -> Self | None:
        """Read a node; None for other convolutions, and where weights are computed."""
        given = [constants.get(name) for name in node.input[1:] if name]
        if any(attribute(node, name, value) != value for name, value in ORDINARY.items()):
            return None
        if any(one is None for one in given) or given[0] is None or given[0].ndim != 4:
            return None
        weight = given[0].astype(np.float64)
        bias = np.zeros(len(weight)) if len(given) < 2 else np.asarray(given[1], np.float64)
        top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
        rows, columns = weight.shape[2:]
        down, across = attribute(node, "strides", [1, 1])
        grows = top + bottom + 1 - rows, left + right + 1 - columns
        return cls(weight, bias, (down, across), (top, left), grows)

    @property
    def pads(self) -> list[int]:
        """The padding as ONNX lists it."""
        rows, columns = self.weight.shape[2:]
        top, left = self.before
        return [top, left, self.grows[0] + rows - 1 - top, self.grows[1] + columns - 1 - left]

    def plus(self, other: Self) -> Self | None:
        """The convolution that gives the sum of both; None where no padding from zero on gives it."""
        alike = self.weight.shape[:2] == other.weight.shape[:2] and self.strides == other.strides
        if not alike or self.grows != other.grows:
            return None
        top, left = (max(pair) for pair in zip(self.before, other.before, strict=True))
        places = [(top - one.before[0], left - one.before[1], one.weight) for one in (self, other)]
        rows = max(down + weight.shape[2] for down, _, weight in places)
        columns = max(across + weight.shape[3] for _, across, weight in places)
        whole = np.zeros((*self.weight.shape[:2], rows, columns))
        for down, across, weight in places:
            whole[:, :, down : down + weight.shape[2], across : across + weight.shape[3]] += weight
        both = type(self)(whole, self.bias + other.bias, self.strides, (top, left), self.grows)
        return both if min(both.pads) >= 0 else None


def _first_pair(graph: onnx.GraphProto, tensor: str) -> tuple[onnx.NodeProto, _Kernel] | None:
    """Return the first Add of two convolutions of `tensor` that nothing else reads, and their sum."""
    readers = readers_by_tensor(graph)
    outputs = {value.name for value in graph.output}
    alone = {
        node.output[0]: node
        for node in readers[tensor]
        if node.op_type == "Conv" and len(readers[node.output[0]]) == 1 and node.output[0] not in outputs
    }
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer} if alone else {}
    for add in graph.node:
        if add.op_type != "Add" or add.input[0] == add.input[1] or not set(add.input) <= set(alone):
            continue
        first, second = (_Kernel.of(alone[name], constants) for name in add.input)
        both = first.plus(second) if first is not None and second is not None else None
        if both is not None:
            return add, both
    return None
