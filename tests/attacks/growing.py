"""Small ONNX files that ask for a lot."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import FunctionProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

node = helper.make_node
SCALAR = {"zero": np.int64(0), "one": np.int64(1), "many": np.int64(1 << 20), "huge": np.int64(1 << 40)}


def network(
    *inside: NodeProto,
    functions: Sequence[FunctionProto] = (),
    **constants: "NDArray[np.generic] | np.generic",
) -> onnx.ModelProto:
    """A network with more nodes between its ReLU, whose output is r, and its pooling, which reads q."""
    ends = [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        *inside,
        node("GlobalAveragePool", ["q"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "fw"], ["y"], transB=1),
    ]
    held = {
        "w": np.ones((16, 1, 3, 3), np.float32),
        "fw": np.ones((10, 16), np.float32),
        **SCALAR,
        **constants,
    }
    graph = helper.make_graph(
        ends,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid("f", 1)] if functions else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


def averaged(name: str) -> tuple[NodeProto, NodeProto]:
    """Add the mean of a tensor to the network's."""
    return node("ReduceMean", [name], ["m"], keepdims=0), node("Add", ["r", "m"], ["q"])


def chain(operator: str, count: int) -> list[NodeProto]:
    names = ["r", *(f"i{n}" for n in range(1, count)), "q"]
    return [node(operator, [names[n]], [names[n + 1]]) for n in range(count)]


def range_to(limit: str) -> tuple[NodeProto, ...]:
    cast = node("Cast", ["e"], ["ec"], to=TensorProto.FLOAT)
    return node("Range", ["zero", limit, "one"], ["e"]), cast, *averaged("ec")


def doubling_functions(count: int) -> list[FunctionProto]:
    """Each calls the next twice."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]

    def body(n: int) -> list[NodeProto]:
        if n == count - 1:
            return [node("Relu", ["a"], ["b"])]
        return [
            node(f"g{n + 1}", ["a"], ["c"], domain="f"),
            node(f"g{n + 1}", ["c"], ["b"], domain="f"),
        ]

    return [helper.make_function("f", f"g{n}", ["a"], ["b"], body(n), opsets) for n in range(count)]


def endless_loop() -> NodeProto:
    """Inside of an If with a computed condition: elsewhere a Loop is refused by name."""
    body: GraphProto = helper.make_graph(
        [node("Identity", ["go_on"], ["go"]), node("Identity", ["v"], ["w_"])],
        "body",
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w_", TensorProto.FLOAT, None),
        ],
    )
    loop = node("Loop", ["huge", "true", "half"], ["looped"], body=body)
    branches = {
        name: helper.make_graph(
            [one], name, [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        )
        for name, one, output in (
            ("then_branch", loop, "looped"),
            ("else_branch", node("Identity", ["half"], ["kept"]), "kept"),
        )
    }
    return node("If", ["sure"], ["e"], **branches)


def save(model: onnx.ModelProto, folder: Path) -> Path:
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return folder / "net.onnx"
