"""Local response normalisation (Krizhevsky et al. 2012, 3.3): sums over neighbours as convolutions.

Exporters write the sum of squares as an average pool along the channels, which they first turn into a
dimension of pixels. It is a 1 x 1 convolution with a banded matrix, and division by a power of it is a
product: an integer engine has both.
"""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.node_readers import readers_by_tensor
from pipeline.models.foreign.normal_form.known_shapes import Shapes, shapes
from pipeline.models.foreign.normal_form.vectors_of_channels import banded
from pipeline.models.foreign.replaced_nodes import replace_nodes

_MOVES = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Transpose"})
_MOST = 2048
"""Channels; of more, the matrix would be too large."""
_WIDEST = 64
"""Neighbours that are summed; Krizhevsky et al. have 5."""


def write_local_response(model: onnx.ModelProto) -> None:
    """Rewrite LRN, and what exporters write for it.

    Raises onnxruntime's exceptions for a model that it refuses.
    """
    normalised = [node for node in model.graph.node if node.op_type == "LRN"]
    sizes = shapes(model, [node.input[0] for node in normalised], 1)
    made = {node.output[0]: _written_out(model, node, sizes[node.input[0]][1]) for node in normalised}
    replace_nodes(model.graph, made)
    pools = [node for node in model.graph.node if node.op_type == "AveragePool"]
    _write_pools(model, pools)
    if pools or any(node.name.endswith("/squares") for node in model.graph.node):
        _multiply_instead_of_dividing(model)


def _written_out(model: onnx.ModelProto, node: onnx.NodeProto, channels: int) -> list[onnx.NodeProto]:
    """Return LRN as the operator's definition (ONNX, opset 13)."""
    source, output = node.input[0], node.output[0]
    size = attribute(node, "size", 1)
    alpha, beta, bias = (attribute(node, k, v) for k, v in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    matrix = banded(np.full(size, alpha / size), channels, 1, (size - 1) // 2)
    values = {
        "matrix": matrix[:, :, None, None],
        "bias": np.full(channels, bias, np.float32),
        "beta": np.array(beta, np.float32),
    }
    for name, value in values.items():
        model.graph.initializer.append(numpy_helper.from_array(value, f"{output}/{name}"))
    return [
        helper.make_node("Mul", [source, source], [f"{output}/squares"], f"{output}/squares"),
        helper.make_node(
            "Conv",
            [f"{output}/squares", f"{output}/matrix", f"{output}/bias"],
            [f"{output}/sums"],
            f"{output}/sums",
            kernel_shape=[1, 1],
        ),
        helper.make_node("Pow", [f"{output}/sums", f"{output}/beta"], [f"{output}/power"], f"{output}/power"),
        helper.make_node("Div", [source, f"{output}/power"], [output], node.name),
    ]


def _write_pools(model: onnx.ModelProto, pools: list[onnx.NodeProto]) -> None:
    """Write the pools that sum over channels as convolutions."""
    graph = _Chains(model)
    chains = [chain for chain in map(graph.around, pools) if any(node.op_type in _MOVES for node in chain)]
    names = [name for chain in chains for name in (chain[0].input[0], *(node.output[0] for node in chain))]
    sizes = shapes(model, list(dict.fromkeys(names)), 2)
    made: dict[str, list[onnx.NodeProto]] = {}
    for pool in [next(node for node in chain if node.op_type == "AveragePool") for chain in chains]:
        chain = graph.around(pool)  # without what is replaced by now
        found = _channel_sums(graph.constants, chain, sizes) if len(chain) > 1 else None
        if found is None:
            continue
        matrix, last = found
        output = chain[last].output[0]
        model.graph.initializer.append(numpy_helper.from_array(matrix[:, :, None, None], f"{output}/matrix"))
        sums = helper.make_node(
            "Conv", [chain[0].input[0], f"{output}/matrix"], [output], pool.name, kernel_shape=[1, 1]
        )
        made |= {node.output[0]: [] for node in chain[:last]} | {output: [sums]}
        graph.replaced[output] = sums
    replace_nodes(model.graph, made)


class _Chains:
    """The moves in front of pools and behind them."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.constants = {one.name: one for one in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output}
        self._readers = readers_by_tensor(model.graph)
        self.replaced: dict[str, onnx.NodeProto] = {}
        """What computes a tensor now."""

    def around(self, pool: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes around a pool that only move what it reads or what it computes, and the pool."""
        before: list[onnx.NodeProto] = []
        first = pool
        while (found := self._producers.get(first.input[0])) is not None and (
            found.op_type in _MOVES | {"Pad"} and self._moves(found) and first.input[0] not in self.replaced
        ):
            first = found
            before.append(found)
        chain = [*before[::-1], pool]
        while len(readers := self._readers[chain[-1].output[0]]) == 1 and (
            readers[0].op_type in _MOVES and self._moves(readers[0])
        ):
            chain.append(readers[0])
        return chain

    def _moves(self, node: onnx.NodeProto) -> bool:
        return all(name in self.constants for name in node.input[1:] if name)


def _channel_sums(
    constants: Mapping[str, onnx.TensorProto], chain: list[onnx.NodeProto], sizes: Shapes
) -> tuple[NDArray[np.float32], int] | None:
    """Return the matrix [C, C] that a chain multiplies channels with, and its last node; None for another."""
    source = chain[0].input[0]
    size = sizes[source]
    ends = [i for i, node in enumerate(chain) if sizes[node.output[0]] == size and i >= _place_of_pool(chain)]
    count = int(np.prod(attribute(chain[_place_of_pool(chain)], "kernel_shape")))
    if len(size) != 4 or not ends or size[1] > _MOST or count > _WIDEST:
        return None
    given = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    told = _run(constants, chain[: ends[-1] + 1], source, given)
    for begin in range(count):
        around = np.pad(given.astype(np.float64), [(0, 0), (begin + 1, count - 1 - begin), (0, 0), (0, 0)])
        sums = np.cumsum(around, axis=1)
        if np.allclose((sums[:, count:] - sums[:, :-count]) / count, told, atol=1e-5):
            return banded(np.full(count, 1 / count), size[1], 1, begin), ends[-1]
    return None


def _place_of_pool(chain: list[onnx.NodeProto]) -> int:
    return next(i for i, node in enumerate(chain) if node.op_type == "AveragePool")


def _run(
    constants: Mapping[str, onnx.TensorProto],
    chain: list[onnx.NodeProto],
    source: str,
    given: NDArray[np.float32],
) -> NDArray[np.float32]:
    read = dict.fromkeys(name for node in chain for name in node.input)
    graph = helper.make_graph(
        chain,
        "chain",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, given.shape)],
        [helper.make_empty_tensor_value_info(chain[-1].output[0])],
        [constants[name] for name in read if name in constants],
    )
    alone = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(alone.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {source: given})[0], np.float32)


def _multiply_instead_of_dividing(model: onnx.ModelProto) -> None:
    """Write a / b of two computed tensors as a * (1 / b): the quotient of one number can be looked up."""
    constants = {one.name for one in model.graph.initializer}
    made = {}
    for node in [one for one in model.graph.node if one.op_type == "Div"]:
        if not constants & set(node.input) and node.input[0] != node.input[1]:
            name = f"{node.output[0]}/reciprocal"
            reciprocal = helper.make_node("Reciprocal", [node.input[1]], [name], name)
            product = helper.make_node("Mul", [node.input[0], name], list(node.output), node.name)
            made[node.output[0]] = [reciprocal, product]
    replace_nodes(model.graph, made)
