"""Takes batch norms of rows of numbers into the matrix product in front of them, as in LeViT.

onnxruntime folds a batch norm into a convolution or a Gemm, and not into a MatMul whose result is flattened
to rows first. Left alone, such a norm would read a tensor rounded to 8 bits between two operators in float.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.onnx_graph import tensor_proto
from pipeline.models.foreign.node_readers import readers_by_tensor
from pipeline.models.foreign.quantised.weighted_layer import gain_and_shift
from pipeline.models.foreign.replaced_nodes import replace_nodes


def fold_norms_of_rows(model: onnx.ModelProto) -> None:
    """Scale the columns of the matrix, and add what remains of the norm."""
    graph = model.graph
    norms = [node for node in graph.node if node.op_type == "BatchNormalization"]
    if not norms:
        return
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    readers = readers_by_tensor(graph)
    outputs = {value.name for value in graph.output}
    made = {}
    for norm in norms:
        rows = producers.get(norm.input[0])
        product = producers.get(rows.input[0]) if rows is not None and _makes_rows(rows, constants) else None
        if product is None or product.op_type != "MatMul" or rows is None:
            continue
        alone = all(len(readers[name]) == 1 for name in (rows.output[0], product.output[0]))
        matrix, known = constants.get(product.input[1]), gain_and_shift(norm, constants, of_maps=False)
        if not alone or {rows.output[0], product.output[0]} & outputs or matrix is None or known is None:
            continue
        _, gain, shift = known
        if matrix.ndim != 2 or matrix.shape[1] != gain.size:
            continue
        names = [f"{norm.output[0]}/{word}" for word in ("matrix", "shift")]
        values = (matrix * gain, shift)
        graph.initializer.extend(
            tensor_proto(n, v.astype(np.float32)) for n, v in zip(names, values, strict=True)
        )
        product.input[1] = names[0]
        add = helper.make_node("Add", [rows.output[0], names[1]], norm.output[:1], norm.name)
        made[norm.output[0]] = (add,)
    replace_nodes(graph, made)


def _makes_rows(node: onnx.NodeProto, constants: Mapping[str, NDArray[np.generic]]) -> bool:
    """Whether the result is of two dimensions; its numbers stay in their order."""
    if node.op_type == "Flatten":
        return True
    shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
    return shape is not None and shape.size == 2
