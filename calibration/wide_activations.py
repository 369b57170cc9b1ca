"""Chooses the activations that get 16 bits: those that improve the logits most for their cost in time.

To second order an error d of a value changes the logits by a power of g^2 d^2, g^2 the sum of the squares of
the logits' derivatives by the value. That of each tensor is measured on its own 8-bit grid. An engine takes
twice the time to multiply 16-bit activations, and more time to write and read them. A tensor's cost is
estimated in multiplications. Tensors are taken by decreasing ratio of benefit to cost, as long as their total
cost stays below a share of the network's own cost.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter

from calibration.errors import ModelError
from calibration.grid import WEIGHT_LIMIT, WIDE_OPSET, activation_grid
from calibration.logit_gradients import logit_gradients
from calibration.observers import Range
from calibration.onnx_graph import OnnxGraph, attribute
from calibration.placement import Placement
from calibration.pointwise import BOUNDS, Elementwise
from calibration.scheme import Scheme
from calibration.tensor_sizes import tensor_sizes

IMAGES = 64
BUDGET = 0.1
"""The share of a network's own cost that `wide` may add."""
DEPTHWISE = 4.0
"""The time of a multiplication in a depthwise convolution, in multiplications of an ordinary one."""
WRITTEN = 16.0
"""The time to write a number, in the same unit."""
WRITTEN_WIDE, READ_WIDE, MULTIPLIED_WIDE = 24.0, 8.0, 1.5
"""The additional cost of 16 bits: to write a number, to read one for an addition or multiplication, and, as a
share of a layer's own cost, to multiply. Layers of few input channels take more than twice the time."""
_LARGEST_SUM = 2.0**30
"""The largest sum, half of int32: weights' scales are chosen later, and sums may become larger."""
_WRITERS = frozenset({"Conv", "Gemm", "Add", "Mul", "GlobalAveragePool", "AveragePool", "ReduceMean"})
_READERS = _WRITERS
_PASSED = BOUNDS | {"Flatten", "Squeeze", "Dropout", "Identity"}
_DIRECT = frozenset({"Conv", "Gemm"})


def wide_tensors(
    graph: OnnxGraph,
    placement: Placement,
    ranges: Mapping[str, Range],
    images: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
    budget: float = BUDGET,
) -> tuple[str, ...]:
    """Choose among the tensors of `placement`, with the ranges found for them, on the first IMAGES images.

    `budget`: the most that they may cost, of the network's own cost. Raises ModelError for operators
    without a gradient, or where sizes are not known.
    """
    _check_opset(graph)
    sizes, able = _Sizes(graph), tuple(candidates(graph, placement))
    costs = {name: sizes.of_wide(name) for name in able}
    errors = dict.fromkeys(able, 0.0)
    for count, found in logit_gradients(graph, able, images, IMAGES):
        for name, (x, gradient) in found.items():
            grid = activation_grid(ranges[name].low, ranges[name].high, Scheme.ASYM)
            values = x.numpy()
            error = (grid.dequantize(grid.quantize(values)) - values) * gradient.numpy()
            errors[name] += float(np.square(error, dtype=np.float64).sum())
        on_batch(count)
    left, chosen = budget * sizes.of_network(placement), set()
    for name in sorted(able, key=lambda name: -errors[name] / costs[name]):
        if errors[name] > 0 and costs[name] <= left:
            left -= costs[name]
            chosen.add(name)
    return tuple(name for name in able if name in chosen)


def candidates(graph: OnnxGraph, placement: Placement) -> Iterator[str]:
    """Tensors that an integer engine can both write and read in 16 bits."""
    functions, shared = Elementwise(graph), list(placement.tensors.values())
    for name, source in placement.tensors.items():
        if name == source and shared.count(source) == 1 and _is_written(graph, functions, name):
            readers = [graph.nodes[edge.node] for edge in graph.consumers(name)]
            if readers and all(_reads(graph, node, name) for node in readers):
                yield name


def _is_written(graph: OnnxGraph, functions: Elementwise, tensor: str) -> bool:
    """Whether an operator that can write 16 bits computes a tensor, and no table of a function."""
    while (node := graph.producer(tensor)) is not None:
        if tensor in functions.chains or functions.scaled_in_registers(node):
            return True
        if tensor in functions.source:
            return False
        if node.op_type not in _PASSED:
            return node.op_type in _WRITERS
        tensor = node.input[0]
    return False


def _reads(graph: OnnxGraph, node: onnx.NodeProto, tensor: str) -> bool:
    if node.op_type in _DIRECT:
        return node.input[0] == tensor and _fits(graph.constant(node.input[1]))
    computed = not any(graph.is_constant(name) for name in node.input)
    return node.op_type in _READERS and (computed or node.op_type not in ("Add", "Mul"))


def _fits(weight: NDArray[np.generic] | None) -> bool:
    """Whether the sums of a layer with 16-bit activations fit, with a margin."""
    if weight is None:
        return False
    rows = np.abs(weight.reshape(len(weight), -1).astype(np.float64))
    largest = np.maximum(rows.max(axis=1), np.finfo(np.float32).tiny)
    return bool((rows.sum(axis=1) / largest).max() * WEIGHT_LIMIT * 65535 < _LARGEST_SUM)


def _check_opset(graph: OnnxGraph) -> None:
    """Raise ModelError if the graph cannot be written with 16-bit Q/DQ."""
    try:
        version_converter.convert_version(graph.model, WIDE_OPSET)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the network cannot be written in opset {WIDE_OPSET}: {error}") from error


class _Sizes:
    """The cost of computing, in multiplications of an ordinary convolution."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self._shapes = {name: sizes[1:] for name, sizes in tensor_sizes(graph).items()}

    def of_network(self, placement: Placement) -> float:
        """All layers, and all numbers that they write."""
        layers = sum(self._layer(self.graph.nodes[index]) for index in placement.layers)
        return layers + WRITTEN * sum(self._numbers(name) for name in placement.tensors)

    def of_wide(self, tensor: str) -> float:
        """The additional cost of 16 bits in `tensor`."""
        numbers, cost = self._numbers(tensor), 0.0
        for edge in self.graph.consumers(tensor):
            node = self.graph.nodes[edge.node]
            cost += MULTIPLIED_WIDE * self._layer(node) if node.op_type in _DIRECT else READ_WIDE * numbers
        return cost + WRITTEN_WIDE * numbers

    def _layer(self, node: onnx.NodeProto) -> float:
        weight = self.graph.constant(node.input[1])
        assert weight is not None  # noqa: S101 -- `place` has refused others
        places = self._numbers(node.output[0]) / len(weight) if node.op_type == "Conv" else 1
        alone = node.op_type == "Conv" and attribute(node, "group", 1) > 1
        return float(weight.size * places) * (DEPTHWISE if alone else 1.0)

    def _numbers(self, tensor: str) -> int:
        """How many numbers a tensor has, of one image. Raises ModelError."""
        shape = self._shapes.get(tensor)
        if not shape or not all(shape):
            raise ModelError(f"the size of {tensor!r} is not known before the network runs")
        return prod(shape)
