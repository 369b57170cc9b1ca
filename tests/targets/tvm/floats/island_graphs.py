"""Islands of a few ONNX nodes."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from targets.tvm.floats import island_oracle
from targets.tvm.integer_graph import Island
from targets.tvm.tensors import Dense


def island(nodes: Sequence[onnx.NodeProto], read: Dense, written: Dense) -> Island:
    """Make an island from `x`, its input, to `y`, its output."""
    infos = [helper.make_tensor_value_info(d.name, onnx.TensorProto.FLOAT, d.shape) for d in (read, written)]
    graph = helper.make_graph(list(nodes), "island", infos[:1], infos[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return Island("test", (read,), (written,), model)


def elementwise(op: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply one operator to numbers."""
    shape = (1, x.size)
    one = island([helper.make_node(op, ["x"], ["y"])], Dense("x", shape), Dense("y", shape))
    result: NDArray[np.float32] = island_oracle.evaluate(one, {"x": x.reshape(1, 1, -1)})["y"].ravel()
    return result
