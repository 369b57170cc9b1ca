"""Writes products of rows of numbers by a matrix as Gemm, as of torch's Linear without a bias.

The layers that are quantised are Conv and Gemm. A MatMul with an Add behind it is one already: onnxruntime
fuses the two.
"""

import onnx
from onnx import helper, shape_inference

from pipeline.models.foreign.node_readers import readers_by_tensor
from pipeline.models.foreign.replaced_nodes import replace_nodes


def write_products_of_rows(model: onnx.ModelProto) -> None:
    """Rewrite each MatMul of [N, C] by constants [C, K] whose result nothing is added to."""
    graph = model.graph
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2}
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in matrices]
    if not products:
        return
    inferred = shape_inference.infer_shapes(model).graph.value_info
    rows = {value.name for value in inferred if len(value.type.tensor_type.shape.dim) == 2}
    readers = readers_by_tensor(graph)
    made = {}
    for node in products:
        added = any(reader.op_type == "Add" for reader in readers.get(node.output[0], []))
        if node.input[0] in rows and not added:
            made[node.output[0]] = (helper.make_node("Gemm", node.input, node.output, node.name),)
    replace_nodes(graph, made)
