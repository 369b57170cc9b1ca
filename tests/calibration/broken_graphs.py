"""Q/DQ graphs with one fault each, and the lint's finding for it."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

Breaks = Callable[[onnx.GraphProto], str]
"""Breaks one rule in place and returns the name of the node that the finding has to name."""


def _node(graph: onnx.GraphProto, kind: str, part: str = "") -> onnx.NodeProto:
    node: onnx.NodeProto = next(n for n in graph.node if n.op_type == kind and part in n.name)
    return node


def _producer(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto:
    node: onnx.NodeProto = next(n for n in graph.node if tensor in n.output)
    return node


def _set(graph: onnx.GraphProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    initializer = next(i for i in graph.initializer if i.name == name)
    initializer.CopyFrom(
        numpy_helper.from_array(np.asarray(change(numpy_helper.to_array(initializer))), name)
    )


def _activation_q(graph: onnx.GraphProto) -> onnx.NodeProto:
    return _node(graph, "QuantizeLinear", "blocks.0")


def _scale_to(value: float) -> Breaks:
    def breaks(graph: onnx.GraphProto) -> str:
        q = _activation_q(graph)
        _set(graph, q.input[1], lambda s: np.full_like(s, value))
        return q.name

    return breaks


def _per_channel_activation(graph: onnx.GraphProto) -> str:
    q = _activation_q(graph)
    _set(graph, q.input[1], lambda s: np.repeat(s, 8))
    return q.name


def scale_of_one_dimension(graph: onnx.GraphProto) -> str:
    q = _activation_q(graph)
    _set(graph, q.input[1], lambda s: s.reshape(1))
    return q.name


def _weight_axis(graph: onnx.GraphProto) -> str:
    dq = _producer(graph, _node(graph, "Conv", "conv2").input[1])
    dq.attribute[0].i = 1
    return dq.name


def _both_branches(graph: onnx.GraphProto) -> str:
    add = _node(graph, "Add")
    main = next(i for i, name in enumerate(add.input) if _producer(graph, name).op_type == "Conv")
    scale = _activation_q(graph).input[1:]
    at = next(i for i, n in enumerate(graph.node) if n.name == add.name)
    graph.node.insert(at, helper.make_node("QuantizeLinear", [add.input[main], *scale], ["main/q"], "main/q"))
    graph.node.insert(
        at + 1, helper.make_node("DequantizeLinear", ["main/q", *scale], ["main/dq"], "main/dq")
    )
    _node(graph, "Add").input[main] = "main/dq"
    return add.name


def _float_identity(graph: onnx.GraphProto) -> str:
    add = _node(graph, "Add")
    identity = next(
        i for i, name in enumerate(add.input) if _producer(graph, name).op_type == "DequantizeLinear"
    )
    add.input[identity] = _producer(graph, _producer(graph, add.input[identity]).input[0]).input[0]
    return add.name


def _main_instead_of_identity(graph: onnx.GraphProto) -> str:
    _both_branches(graph)
    return _float_identity_of_both(graph)


def _float_identity_of_both(graph: onnx.GraphProto) -> str:
    add = _node(graph, "Add")
    identity = next(i for i, name in enumerate(add.input) if name != "main/dq")
    add.input[identity] = _producer(graph, _producer(graph, add.input[identity]).input[0]).input[0]
    return add.name


def _nonzero_zero_point(graph: onnx.GraphProto) -> str:
    q = _activation_q(graph)
    _set(graph, q.input[2], lambda z: z + 3)
    return q.name


def _unsigned(graph: onnx.GraphProto) -> str:
    q = _activation_q(graph)
    _set(graph, q.input[2], lambda z: z.astype(np.uint8))
    return q.name


def _bias_dq(graph: onnx.GraphProto) -> str:
    conv = _node(graph, "Conv", "conv2")
    _set(graph, conv.input[2], lambda b: np.rint(b * 1000).astype(np.int32))
    graph.initializer.append(numpy_helper.from_array(np.array(1e-3, np.float32), "bias/scale"))
    dq = helper.make_node(
        "DequantizeLinear", [conv.input[2], "bias/scale"], ["bias/dq"], "bias/DequantizeLinear"
    )
    at = next(i for i, n in enumerate(graph.node) if n.name == conv.name)
    conv.input[2] = "bias/dq"
    graph.node.insert(at, dq)
    return dq.name


def _float_weights(graph: onnx.GraphProto) -> str:
    conv = _node(graph, "Conv", "conv2")
    dq = _producer(graph, conv.input[1])
    _set(graph, dq.input[0], lambda w: w.astype(np.float32))
    conv.input[1] = dq.input[0]
    graph.node.remove(dq)
    return conv.name


def _float_input(graph: onnx.GraphProto) -> str:
    conv = _node(graph, "Conv", "conv2")
    conv.input[0] = _producer(graph, _producer(graph, conv.input[0]).input[0]).input[0]
    return conv.name


def _float_pool(graph: onnx.GraphProto) -> str:
    pool = _node(graph, "GlobalAveragePool")
    pool.input[0] = _producer(graph, _producer(graph, pool.input[0]).input[0]).input[0]
    return pool.name


def _minus_128(graph: onnx.GraphProto) -> str:
    dq = _producer(graph, _node(graph, "Conv", "conv2").input[1])
    _set(graph, dq.input[0], lambda w: np.full_like(w, -128))
    return dq.name


def _int16(graph: onnx.GraphProto) -> str:
    q = _activation_q(graph)
    _set(graph, q.input[2], lambda z: z.astype(np.int16))
    return q.name


def _missing_dq(graph: onnx.GraphProto) -> str:
    conv = _node(graph, "Conv", "conv2")
    conv.input[0] = _producer(graph, conv.input[0]).input[0]
    return conv.name


def _custom_operator(graph: onnx.GraphProto) -> str:
    relu = _node(graph, "Relu")
    relu.op_type, relu.domain = "FastRelu", "com.example"
    return relu.name


def _integer_operator(graph: onnx.GraphProto) -> str:
    conv = _node(graph, "Conv", "conv2")
    conv.op_type = "QLinearConv"
    return conv.name


BROKEN: list[tuple[Breaks, str]] = [
    (_scale_to(0), "its scale holds 0.0"),
    (_scale_to(-1), "its scale holds -1.0"),
    (_scale_to(np.inf), "its scale holds inf"),
    (_scale_to(np.nan), "its scale holds nan"),
    (_per_channel_activation, "an activation has 8 scales"),
    (scale_of_one_dimension, "its scale has shape [1]"),
    (_weight_axis, "scales on axis 1"),
    (_both_branches, "both of its branches"),
    (_float_identity, "identity branch is not quantised"),
    (_main_instead_of_identity, "main branch is quantised instead"),
    (_nonzero_zero_point, "zero point is 3, not 0"),
    (_unsigned, "it is uint8"),
    (_bias_dq, "quantised to int32"),
    (_float_weights, "its weights are not"),
    (_float_input, "its input is not"),
    (_float_pool, "its input is not quantised"),
    (_minus_128, "hold -128"),
    (_int16, "it is int16"),
    (_missing_dq, "it reads integers: a DequantizeLinear is missing"),
    (_custom_operator, "com.example.FastRelu is a custom operator"),
    (_integer_operator, "is an integer operator"),
]
