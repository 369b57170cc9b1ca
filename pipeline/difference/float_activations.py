"""A quantised network without the rounding of its activations."""

import onnx

from pipeline.difference.real_graph import read_real_graph


def float_activations(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a Q/DQ model that rounds only its weights: the upper limit of what activation bits can gain.

    A ReLU that a tool has left to a range that begins at 0 stays one.
    """
    grids = [grid for found in read_real_graph(model).all_grids.values() for grid in found]
    rectified = {grid.read for grid in grids if (grid.limits[0] == 0).all()}
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    quantised = {node.output[0]: node for node in changed.graph.node if node.op_type == "QuantizeLinear"}
    for node in changed.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in quantised:
            source = quantised[node.input[0]].input[0]
            operator = "Relu" if node.output[0] in rectified else "Identity"
            node.CopyFrom(onnx.helper.make_node(operator, [source], list(node.output), node.name))
    return changed
