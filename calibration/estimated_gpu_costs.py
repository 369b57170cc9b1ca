"""The time that layers take on a Jetson's GPU, in bytes that it could read or write in that time.

An estimate by NVIDIA's documents, not measured: a layer takes the longer of its arithmetic and its traffic.
FP16 has twice INT8's bytes, and half its rate of multiplications, so a layer takes at most twice its time. It
is an upper bound: starting a kernel costs the same in both, and a depthwise convolution has no faster INT8.
"""

from collections.abc import Iterator

import onnx

from calibration.coverage import layer_macs
from calibration.onnx_graph import OnnxGraph
from calibration.placement import Placement
from calibration.pointwise import Elementwise
from calibration.tensor_sizes import numbers_an_image, tensor_sizes

MULTIPLICATIONS_A_BYTE = 207.0
"""Multiplications of INT8 in the time of a byte, by NVIDIA's "Jetson AGX Orin Series" technical brief.

170e12 sparse operations a second are 42.5e12 dense multiplications; the memory gives 204.8e9 bytes a second.
"""
HALF = 2.0
"""FP16's bytes, and its time for a multiplication, by INT8's."""
APART = 4.0
"""The bytes for a number that is computed apart: one more to write its argument in FP16, two to read it, one.

TensorRT's documentation ("Layer Fusion Catalog") has ReLU, Clip and an addition among what a convolution
takes in. Other functions of its sums are kernels of their own, as the multiplication by a gate is.
"""


class GpuCosts:
    """Estimates for one float network, quantised as `placement` says, for one image at a time."""

    def __init__(self, graph: OnnxGraph, placement: Placement) -> None:
        self.graph, self.placement = graph, placement
        self._sizes = tensor_sizes(graph)
        self._multiplications = layer_macs(graph)
        self._apart = tuple(_computed_apart(graph))

    def of_network(self) -> float:
        """All layers in INT8, and functions. Raises ModelError for a size that is not known."""
        layers = sum(self._layer(self.graph.nodes[index], 1.0) for index in self.placement.layers)
        return layers + APART * sum(map(self._numbers, self._apart))

    def of_wide(self, source: str) -> float:
        """The additional cost of FP16 in the tensors with the range of `source`. Raises ModelError.

        It is written and read with twice the bytes, and the layers that read it compute in FP16.
        """
        cost = 0.0
        for tensor in (name for name, used in self.placement.tensors.items() if used == source):
            cost += self._numbers(tensor)
            for node in (self.graph.nodes[edge.node] for edge in self.graph.consumers(tensor)):
                layer = node.op_type == "Conv"
                cost += self._layer(node, HALF) - self._layer(node, 1.0) if layer else self._numbers(tensor)
        return cost

    def _layer(self, node: onnx.NodeProto, bytes_a_number: float) -> float:
        """A convolution whose input and weights have so many bytes a number; it writes INT8."""
        weight = self.graph.constant(node.input[1])
        assert weight is not None  # noqa: S101 -- `place` has refused others
        read = weight.size + self._numbers(node.input[0])
        traffic = bytes_a_number * read + self._numbers(node.output[0])
        return max(bytes_a_number * self._multiplications[node.name] / MULTIPLICATIONS_A_BYTE, traffic)

    def _numbers(self, tensor: str) -> int:
        """How many numbers a tensor has, of one image. Raises ModelError."""
        return numbers_an_image(self._sizes, tensor)


def _computed_apart(graph: OnnxGraph) -> Iterator[str]:
    """The results of functions of a convolution's sums, and of multiplications by a gate."""
    functions = Elementwise(graph)
    yield from functions.chains
    for node in graph.nodes:
        result = node.output[0]
        if node.op_type == "Mul" and len(functions.computed(node)) == 2 and result not in functions.source:
            yield result
