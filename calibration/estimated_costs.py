"""The time that layers take in an integer engine, in multiplications of an ordinary convolution of 8 bits.

Estimates, by factors that were measured on AVX512-VNNI (docs/calibration.md).
"""

import onnx

from calibration.onnx_graph import OnnxGraph, is_grouped
from calibration.placement import Placement
from calibration.pointwise import Elementwise
from calibration.tensor_sizes import numbers_an_image, tensor_sizes

DIRECT = frozenset({"Conv", "Gemm"})
DEPTHWISE = 2.2
"""The time of a multiplication in a depthwise convolution."""
WRITTEN = 5.5
"""The time to write a number."""
BOUNDED_STEPS, EXPONENTIAL = 40.0, 80.0
"""The time of a function of a sum: of HardSwish and HardSigmoid, and of SiLU and Sigmoid."""
WRITTEN_WIDE = 4.0
"""The additional cost of 16 bits to write a number. To read one for an addition has none."""
MULTIPLIED_WIDE, DEPTHWISE_WIDE = 0.6, 0.6
"""The additional cost of a multiplication of 16 bits, in an ordinary and in a depthwise convolution."""
IN_FLOAT = 28.0
"""The additional cost of float, as a share of a layer's own cost and that of the numbers that it writes."""


class LayerCosts:
    """Estimates for one float network."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self._sizes = tensor_sizes(graph)
        self._functions = {chain.source: chain.function for chain in Elementwise(graph).chains.values()}

    def of_network(self, placement: Placement) -> float:
        """All layers, and all numbers that they write. Raises ModelError for a size that is not known."""
        nodes = [self.graph.nodes[index] for index in placement.layers]
        layers = sum(self._layer(node) + self._function(node) for node in nodes)
        return layers + WRITTEN * sum(self._numbers(name) for name in placement.tensors)

    def of_wide(self, tensor: str, is_written: bool = False) -> float:
        """The additional cost of reading 16 bits of `tensor`, and of writing them if nothing else needs them.

        Raises ModelError for a size that is not known.
        """
        readers = [self.graph.nodes[edge.node] for edge in self.graph.consumers(tensor)]
        multiplied = sum(self._more(node) for node in readers if node.op_type in DIRECT)
        return multiplied + (0 if is_written else WRITTEN_WIDE * self._numbers(tensor))

    def of_float(self, layer: onnx.NodeProto) -> float:
        """The additional cost of a Conv or Gemm in float. Raises ModelError for a size that is not known."""
        written = WRITTEN * self._numbers(layer.output[0])
        return IN_FLOAT * (self._layer(layer) + written + self._function(layer))

    def _layer(self, node: onnx.NodeProto) -> float:
        """A layer in 8 bits."""
        return self._multiplications(node) * (DEPTHWISE if is_grouped(node) else 1.0)

    def _function(self, node: onnx.NodeProto) -> float:
        """The function that is computed of a layer's sums; nothing for one that only has bounds."""
        function = self._functions.get(node.output[0])
        if function is None:
            return 0.0
        each = EXPONENTIAL if function.has_exponential else BOUNDED_STEPS
        return each * self._numbers(node.output[0])

    def _more(self, node: onnx.NodeProto) -> float:
        """What a layer takes longer that reads 16 bits."""
        return self._multiplications(node) * (DEPTHWISE_WIDE if is_grouped(node) else MULTIPLIED_WIDE)

    def _multiplications(self, node: onnx.NodeProto) -> float:
        weight = self.graph.constant(node.input[1])
        assert weight is not None  # noqa: S101 -- `place` has refused others
        places = self._numbers(node.output[0]) / len(weight) if node.op_type == "Conv" else 1
        return float(weight.size * places)

    def _numbers(self, tensor: str) -> int:
        """How many numbers a tensor has, of one image. Raises ModelError."""
        return numbers_an_image(self._sizes, tensor)
