"""Keeps the batch dimension where an export for one image removes it at the end: `logits[0]`."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.onnx_graph import attribute, set_attribute
from pipeline.models.foreign.ending import FUNCTIONS

Constants = dict[str, NDArray[np.generic]]


def keep_the_batch_at_the_end(model: onnx.ModelProto) -> None:
    """Remove the Squeeze or Gather that drops the first dimension in front of the output.

    Only functions over classes may stand behind it; their axes then count one more.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    behind: list[onnx.NodeProto] = []
    node = producers.get(model.graph.output[0].name)
    while node is not None and node.op_type in (*FUNCTIONS, "Identity", "Cast"):
        behind.append(node)
        node = producers.get(node.input[0])
    if node is None or not _takes_the_first_away(node, constants):
        return
    _keep_it(model, node, constants)
    for function in behind:
        axis = attribute(function, "axis", -1)
        if function.op_type in ("Softmax", "LogSoftmax") and axis >= 0:
            set_attribute(function, "axis", axis + 1)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]


def _takes_the_first_away(node: onnx.NodeProto, constants: Constants) -> bool:
    given = constants.get(node.input[1]) if len(node.input) > 1 else None
    if given is None:
        return False
    if node.op_type == "Squeeze":
        return 0 in given.ravel().tolist()
    return (
        node.op_type == "Gather" and attribute(node, "axis", 0) == 0 and given.ndim == 0 and int(given) == 0
    )


def _keep_it(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    constants: Constants,
) -> None:
    others = [axis for axis in constants[node.input[1]].ravel().tolist() if axis != 0]
    if node.op_type == "Squeeze" and others:
        name = f"{node.output[0]}/axes"
        model.graph.initializer.append(numpy_helper.from_array(np.array(others, np.int64), name))
        node.input[1] = name
        return
    node.op_type = "Identity"
    del node.input[1:]
    del node.attribute[:]
