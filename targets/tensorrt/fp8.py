"""Writes a Q/DQ network with FP8 (E4M3) in place of INT8, for GPUs that multiply it: Thor, of the Jetsons.

Scales are those of INT8 times 127 / 448, so each range stays what it was. Which layers stay in FP16 is as in
NVIDIA's Model Optimizer 0.47: it too takes the INT8 placement and changes its types (int8_to_fp8 in
onnx/quantization/fp8.py), leaves convolutions of few channels and large kernels in float
(find_nodes_from_convs_to_exclude in graph_utils.py), and has FP8 for Conv, Gemm, MatMul and Add alone.
Its scales are INT8's times 448 / 127, which uses E4M3 up to 36 and so loses small values earlier.
"""

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from calibration.onnx_graph import OnnxGraph
from targets.errors import EngineError
from targets.runtime.tensorrt.mixed_onnx import QdqFile
from targets.tensorrt.half import all_to_half

LARGEST = 448.0
"""Of E4M3: ONNX, "Float stored in 8 bits"."""
INT8_LARGEST = 127
MOST_WITHOUT_FP8 = 16
"""Channels, of the input or the output, with which FP8 is not worth it."""
LARGEST_KERNEL = 32
ROUNDED_BY = 0.6
"""Of a step: the most that rounding to nearest moves a weight, with scales that are FP16 by now."""
COMPUTES_IN_FP8 = ("Conv", "Gemm", "MatMul", "Add")
WEIGHTED = ("Conv", "Gemm")


def to_fp8(int8: onnx.ModelProto, float_model: onnx.ModelProto | None) -> onnx.ModelProto:
    """Return the network of a Q/DQ model for TensorRT with FP8 in place of INT8, else FP16; opset 19.

    Weights are those of `float_model` rounded to FP8 where INT8 only rounded them, else the INT8 ones. Raises
    EngineError where no layer is left in FP8, or opset 19 or FP16 cannot hold the network.
    """
    floats = {} if float_model is None else _weights_by_node(OnnxGraph(float_model))
    kept = onnx.load_from_string(QdqFile(int8.SerializeToString()).in_float(_left_in_float(OnnxGraph(int8))))
    model = _without_other_readers(all_to_half(kept))
    graph = OnnxGraph(model)
    done: dict[str, onnx.TensorProto] = {}
    weighted = 0
    for node in graph.nodes:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        values, scale, zero = (graph.constant(name) for name in node.input)
        if scale is None or zero is None or zero.dtype != np.int8:
            raise EngineError(f"{node.name} does not round to int8, so there is no FP8 for it")
        new = scale.astype(np.float64) * INT8_LARGEST / LARGEST
        if node.op_type == "DequantizeLinear" and values is not None:
            weighted += 1
            (reader,) = (graph.nodes[edge.node] for edge in graph.consumers(node.output[0]))
            weights = _unrounded(values, scale, floats.get(reader.name))
            shape = (-1, *[1] * (values.ndim - 1))
            new = np.abs(weights).reshape(len(weights), -1).max(axis=1) / LARGEST
            new = np.where(new > 0, new, 1.0).astype(scale.dtype)
            rounded = _rounded(weights / new.astype(np.float64).reshape(shape))
            done[node.input[0]] = _tensor(node.input[0], rounded)
        done[node.input[1]] = onnx.numpy_helper.from_array(new.astype(scale.dtype), node.input[1])
        done[node.input[2]] = _tensor(node.input[2], np.zeros(zero.shape, ml_dtypes.float8_e4m3fn))
    if not weighted:
        raise EngineError("no layer has enough channels for FP8")
    for i, one in enumerate(model.graph.initializer):
        model.graph.initializer[i].CopyFrom(done.get(one.name, one))
    del model.graph.value_info[:]
    return model


def fp8_convolutions(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the convolutions that compute in FP8."""
    graph = OnnxGraph(model)
    found = []
    for node in graph.nodes:
        before = graph.producer(node.input[1]) if node.op_type == "Conv" else None
        if before is not None and before.op_type == "DequantizeLinear":
            found.append(node.name)
    return tuple(found)


def _left_in_float(graph: OnnxGraph) -> list[str]:
    """Names of the convolutions that have FP8 kernels nowhere, or none that is worth it."""
    found = []
    for node in graph.nodes:
        before = graph.producer(node.input[1]) if node.op_type == "Conv" else None
        weights = (
            None
            if before is None or before.op_type != "DequantizeLinear"
            else graph.constant(before.input[0])
        )
        if weights is not None and (
            min(weights.shape[:2]) <= MOST_WITHOUT_FP8 or np.prod(weights.shape[2:]) > LARGEST_KERNEL
        ):
            found.append(node.name)
    return found


def _without_other_readers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let nodes that do not compute in FP8, such as pools, read their inputs before the rounding."""
    graph = OnnxGraph(model)
    for node in graph.nodes:
        if node.op_type in (*COMPUTES_IN_FP8, "QuantizeLinear", "DequantizeLinear"):
            continue
        for slot, name in enumerate(node.input):
            undone = graph.producer(name)
            rounding = (
                graph.producer(undone.input[0]) if undone and undone.op_type == "DequantizeLinear" else None
            )
            if rounding is not None and rounding.op_type == "QuantizeLinear":
                node.input[slot] = rounding.input[0]
    return _pruned(model)


def _pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop nodes and constants that nothing reads any more."""
    graph = model.graph
    read = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            read.update(node.input)
            nodes.append(node)
    constants = [one for one in graph.initializer if one.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(constants)
    return model


def _weights_by_node(graph: OnnxGraph) -> dict[str, NDArray[np.float32]]:
    found = {}
    for node in graph.nodes:
        weights = graph.constant(node.input[1]) if node.op_type in WEIGHTED else None
        if weights is not None:
            found[node.name] = weights
    return found


def _unrounded(
    values: NDArray[np.int8], scale: NDArray[np.floating], floats: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """Return the float weights if INT8 `values` are their rounding, else what those stand for."""
    step = scale.astype(np.float64).reshape(-1, *[1] * (values.ndim - 1))
    stands_for = values.astype(np.float64) * step
    if (
        floats is not None
        and floats.shape == values.shape
        and (np.abs(floats - stands_for) <= ROUNDED_BY * step).all()
    ):
        return floats.astype(np.float64)
    return stands_for


def _rounded(values: NDArray[np.float64]) -> NDArray[ml_dtypes.float8_e4m3fn]:
    clipped: NDArray[ml_dtypes.float8_e4m3fn] = np.clip(values, -LARGEST, LARGEST).astype(
        ml_dtypes.float8_e4m3fn
    )
    return clipped


def _tensor(name: str, values: NDArray[ml_dtypes.float8_e4m3fn]) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT8E4M3FN, values.shape, values.tobytes(), raw=True)
