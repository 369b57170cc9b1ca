"""Elementwise operators: which functions they compute, and which of their inputs need 8 bits.

A chain of operators on one tensor and constants, such as Sigmoid and Mul for SiLU, is one function of it,
however an exporter writes it. An integer engine looks that up in a table: it needs the tensor in 8 bits, and
the result. Some functions it computes of a convolution's sums instead, before rounding: `register_chains`.
"""

from collections.abc import Collection, Iterator

import onnx

from calibration.averaged_powers import averaged_powers
from calibration.onnx_graph import Edge, OnnxGraph, attribute
from calibration.register_chains import register_chains

ARITHMETIC = frozenset(
    {"Add", "Sub", "Mul", "Div", "Neg", "Abs", "Min", "Max", "Relu", "Clip", "LeakyRelu", "PRelu", "Sign"}
    | {"ThresholdedRelu", "HardSigmoid", "HardSwish", "Sqrt", "Reciprocal", "Floor", "Ceil", "Round"}
)
"""Functions that every implementation computes alike, to the last bit."""
TRANSCENDENTAL = frozenset(
    {"Sigmoid", "Tanh", "Exp", "Log", "Erf", "Softplus", "Softsign", "Elu", "Selu", "Celu", "Mish", "Gelu"}
    | {"Pow"}
)
"""Functions that implementations approximate, within a few last bits."""
FUNCTIONS = ARITHMETIC | TRANSCENDENTAL
BOUNDS = frozenset({"Relu", "Clip"})
"""Operators that an engine applies while it writes the result of the operator in front."""
AFFINE = frozenset({"Add", "Sub", "Mul", "Div"})
"""Operators which, with constants of one number a channel, are a norm as some exporters write it."""
_SEEN_THROUGH = frozenset({"Flatten", "Squeeze", "Dropout", "Identity"})


class Elementwise:
    """The functions of a graph: `source` has the tensor that each of their results is a function of."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.source: dict[str, str] = {}
        self._layers: set[str] = set()
        """Tensors that some convolution is in front of."""
        for node in graph.nodes:
            if node.op_type in ("Conv", "Gemm") or self._layers & set(node.input):
                self._layers.update(node.output)
            if (source := self._source_of(node)) is not None:
                self.source[node.output[0]] = source
        self.chains = register_chains(graph, self.source)
        """Functions that are computed before a convolution's sums are rounded, by their results."""
        self.averaged = averaged_powers(graph, self.source)
        """Powers whose mean is computed in float, by the tensors with the means."""

    def needed(self, edges: Collection[Edge]) -> list[Edge]:
        """Which inputs of elementwise operators have to be 8-bit so that those of `edges` are integers."""
        found, waiting = set[Edge](), [self._read(edge) for edge in edges]
        seen: set[str] = set()
        while waiting:
            tensor = waiting.pop()
            if tensor not in seen and tensor in self._layers:
                seen.add(tensor)
                more = list(self._in_front(tensor))
                found.update(more)
                waiting += [self._read(edge) for edge in more]
        return sorted(found, key=lambda e: (e.node, e.slot))

    def raised(self) -> Iterator[Edge]:
        """The inputs that are raised to powers whose mean is computed in float."""
        for powers in self.averaged.values():
            yield from self._chain(powers)

    def scaled_in_registers(self, node: onnx.NodeProto) -> bool:
        """Whether it multiplies the channels of a function that an engine has in registers."""
        computed = self.computed(node)
        return node.op_type == "Mul" and len(computed) == 1 and computed[0] in self.chains

    def computed(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a node that are not constants."""
        return [name for name in node.input if name and not self.graph.is_constant(name)]

    def _read(self, edge: Edge) -> str:
        return str(self.graph.nodes[edge.node].input[edge.slot])

    def _source_of(self, node: onnx.NodeProto) -> str | None:
        """The tensor that a node's result is a function of; None for other nodes, and bounds of a sum."""
        values = self.computed(node)
        sources = {self.source.get(name, name) for name in values}
        if node.op_type not in FUNCTIONS or len(sources) != 1 or not self._has_numbers_only(node):
            return None
        (source,) = sources
        return None if node.op_type in BOUNDS and source in values else source

    def _has_numbers_only(self, node: onnx.NodeProto) -> bool:
        constants = [self.graph.constant(name) for name in node.input if name]
        return all(value is None or value.size == 1 for value in constants)

    def _in_front(self, tensor: str) -> Iterator[Edge]:
        """The inputs that an integer operator for `tensor` needs in 8 bits, besides those of other rules."""
        node = self.graph.producer(tensor)
        if tensor in self.chains or (node is not None and self.scaled_in_registers(node)):
            return
        if tensor in self.source:
            if not self._is_averaged(self.source[tensor]):
                yield from self._chain(tensor)
            return
        while node is not None and node.op_type in BOUNDS | _SEEN_THROUGH:
            if node.input[0] in self.source:
                yield from self._chain(node.input[0])
                return
            node = self.graph.producer(node.input[0])
        linear = node is not None and node.op_type == "Resize" and attribute(node, "mode") == b"linear"
        if node is not None and (linear or node.op_type == "PRelu"):
            yield from self._edges(node, [node.input[0]])
        if node is None or node.op_type not in AFFINE:
            return
        if len(self.computed(node)) == 1:
            yield from self._norm(node)
        elif node.op_type in ("Mul", "Sub") or (node.op_type == "Add" and not self._joins_convolution(node)):
            yield from self._edges(node, self.computed(node))

    def _chain(self, tensor: str) -> Iterator[Edge]:
        """Where the chain that ends in `tensor` reads its source."""
        source, waiting, seen = self.source[tensor], [tensor], set[str]()
        while waiting:
            node = self.graph.producer(waiting.pop())
            if node is None or node.output[0] in seen:
                continue
            seen.add(node.output[0])
            yield from self._edges(node, [source])
            waiting += [name for name in self.computed(node) if name != source]

    def _is_averaged(self, tensor: str) -> bool:
        """Whether it is a mean of powers, such as what a root is taken of."""
        while (node := self.graph.producer(tensor)) is not None and node.op_type in BOUNDS | _SEEN_THROUGH:
            tensor = node.input[0]
        return tensor in self.averaged

    def _norm(self, node: onnx.NodeProto) -> Iterator[Edge]:
        """Where a norm of several operators reads its input; one behind a Concat reads that directly."""
        (read,) = self.computed(node)
        before = self.graph.producer(read)
        in_norm = before is not None and before.op_type in AFFINE and read not in self.source
        if before is not None and in_norm and len(self.computed(before)) == 1:
            yield from self._norm(before)
        elif before is None or before.op_type != "Concat":
            yield from self._edges(node, [read])

    def _joins_convolution(self, node: onnx.NodeProto) -> bool:
        producers = [self.graph.producer(name) for name in node.input]
        return any(one is not None and one.op_type == "Conv" for one in producers)

    def _edges(self, node: onnx.NodeProto, tensors: Collection[str]) -> Iterator[Edge]:
        index = self.graph.producer_index(node.output[0])
        if index is not None:
            yield from (Edge(index, slot) for slot, name in enumerate(node.input) if name in tensors)
