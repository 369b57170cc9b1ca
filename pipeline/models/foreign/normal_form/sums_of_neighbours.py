"""Local response normalisation (Krizhevsky et al. 2012, 3.3): sums over neighbours as convolutions.

Exporters write the sum of squares as an average pool along the channels, which they first turn into a
dimension of pixels. It is a 1 x 1 convolution with a banded matrix, and division by a power of it is a
product: an integer engine has both.
"""

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.normal_form.known_shapes import Shapes, shapes
from pipeline.models.foreign.normal_form.vectors_of_channels import banded

_MOVES = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Transpose"})
_MOST = 2048


def write_local_response(model: onnx.ModelProto) -> None:
    """Rewrite LRN, and what exporters write for it.

    Raises onnxruntime's exceptions for a model that it refuses.
    """
    for node in [node for node in model.graph.node if node.op_type == "LRN"]:
        _write_out(model, node)
    pools = [node for node in model.graph.node if node.op_type == "AveragePool"]
    for pool in pools:
        _write_pool(model, pool)
    if pools or any(node.name.endswith("/squares") for node in model.graph.node):
        _multiply_instead_of_dividing(model)


def _write_out(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Write LRN as the operator's definition (ONNX, opset 13)."""
    source, output = node.input[0], node.output[0]
    channels = shapes(model, [source], 1)[source][1]
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
    made = [
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
    _replace(model, [node], made)


def _write_pool(model: onnx.ModelProto, pool: onnx.NodeProto) -> None:
    constants = {one.name for one in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}
    chain = [pool]
    while (before := producers.get(chain[0].input[0])) is not None and (
        before.op_type in _MOVES | {"Pad"} and all(name in constants for name in before.input[1:] if name)
    ):
        chain.insert(0, before)
    while len(readers := [node for node in model.graph.node if chain[-1].output[0] in node.input]) == 1 and (
        readers[0].op_type in _MOVES and all(name in constants for name in readers[0].input[1:] if name)
    ):
        chain.append(readers[0])
    if not any(node.op_type in _MOVES for node in chain):
        return
    names = [chain[0].input[0], *(node.output[0] for node in chain)]
    found = _channel_sums(model, chain, shapes(model, names, 2))
    if found is None:
        return
    matrix, last = found
    output = chain[last].output[0]
    model.graph.initializer.append(numpy_helper.from_array(matrix[:, :, None, None], f"{output}/matrix"))
    made = helper.make_node(
        "Conv", [chain[0].input[0], f"{output}/matrix"], [output], pool.name, kernel_shape=[1, 1]
    )
    _replace(model, chain[: last + 1], [made])


def _channel_sums(
    model: onnx.ModelProto, chain: list[onnx.NodeProto], sizes: Shapes
) -> tuple[NDArray[np.float32], int] | None:
    """Return the matrix [C, C] that a chain multiplies channels with, and its last node; None for another."""
    source = chain[0].input[0]
    size = sizes[source]
    ends = [i for i, node in enumerate(chain) if sizes[node.output[0]] == size and i >= _place_of_pool(chain)]
    if len(size) != 4 or not ends or size[1] > _MOST:
        return None
    count = int(np.prod(attribute(chain[_place_of_pool(chain)], "kernel_shape")))
    given = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    told = _run(model, chain[: ends[-1] + 1], source, given)
    for begin in range(count):
        matrix = banded(np.full(count, 1 / count), size[1], 1, begin)
        if np.allclose(np.einsum("kc,nchw->nkhw", matrix, given), told, atol=1e-5):
            return matrix, ends[-1]
    return None


def _place_of_pool(chain: list[onnx.NodeProto]) -> int:
    return next(i for i, node in enumerate(chain) if node.op_type == "AveragePool")


def _run(
    model: onnx.ModelProto, chain: list[onnx.NodeProto], source: str, given: NDArray[np.float32]
) -> NDArray[np.float32]:
    read = {name for node in chain for name in node.input}
    graph = helper.make_graph(
        chain,
        "chain",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, given.shape)],
        [helper.make_empty_tensor_value_info(chain[-1].output[0])],
        [one for one in model.graph.initializer if one.name in read],
    )
    alone = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(alone.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {source: given})[0], np.float32)


def _multiply_instead_of_dividing(model: onnx.ModelProto) -> None:
    """Write a / b of two computed tensors as a * (1 / b): the quotient of one number can be looked up."""
    constants = {one.name for one in model.graph.initializer}
    for node in [one for one in model.graph.node if one.op_type == "Div"]:
        if not constants & set(node.input) and node.input[0] != node.input[1]:
            name = f"{node.output[0]}/reciprocal"
            reciprocal = helper.make_node("Reciprocal", [node.input[1]], [name], name)
            product = helper.make_node("Mul", [node.input[0], name], list(node.output), node.name)
            _replace(model, [node], [reciprocal, product])


def _replace(model: onnx.ModelProto, gone: list[onnx.NodeProto], made: list[onnx.NodeProto]) -> None:
    """Put nodes in the place of the last that goes."""
    place = list(model.graph.node).index(gone[-1])
    for offset, node in enumerate(made):
        model.graph.node.insert(place + 1 + offset, node)
    for node in gone:
        model.graph.node.remove(node)
