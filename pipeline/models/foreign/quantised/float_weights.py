"""Networks that only store their weights as integers, and compute in float: read as float networks."""

import numpy as np
import onnx
from onnx import numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.quantised.stored_integers import StoredIntegers, quantised
from pipeline.models.foreign.replaced_nodes import replace_nodes


def write_weights_in_float(model: onnx.ModelProto) -> None:
    """Write constants behind a DequantizeLinear, or behind Q and DQ, as the numbers that they stand for."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nothing: dict[str, list[onnx.NodeProto]] = {}
    for node in list(model.graph.node):
        known = [constants.get(name) for name in node.input if name]
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or any(one is None for one in known):
            continue
        values, scale, *zeros = (numpy_helper.to_array(one) for one in known if one is not None)
        zero = zeros[0] if zeros else np.zeros(1, np.int32)
        if node.op_type == "QuantizeLinear":
            found = quantised(node, values, scale, zero)
        else:
            found = StoredIntegers.of(values, scale, zero, attribute(node, "axis", 1)).value
        tensor = numpy_helper.from_array(np.ascontiguousarray(found), node.output[0])
        model.graph.initializer.append(tensor)
        constants[tensor.name] = tensor
        nothing[node.output[0]] = []
    replace_nodes(model.graph, nothing)
