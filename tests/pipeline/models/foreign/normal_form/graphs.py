"""Graphs of one or a few operators, written by hand, and onnxruntime as the judge of what they mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

Shape = Sequence[int | str]
IMAGES: Shape = ("N", 3, 8, 8)


def graph(
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    opset: int = 17,
    shape: Shape = IMAGES,
    element: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("y",),
    input_name: str = "x",
    ir: int = 8,
    functions: Sequence[onnx.FunctionProto] = (),
    other_domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """Return a model that reads `input_name` and gives `outputs`, whose types follow."""
    given = helper.make_tensor_value_info(input_name, element, shape)
    made = [helper.make_empty_tensor_value_info(name) for name in outputs]
    constants = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    model = helper.make_model(
        helper.make_graph(list(nodes), "graph", [given], made, constants),
        opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in other_domains)],
        functions=functions,
        ir_version=ir,
    )
    typed = shape_inference.infer_shapes(model)
    for value in typed.graph.output:
        if not value.type.tensor_type.HasField("shape"):  # the checker wants one, whatever it is
            value.CopyFrom(helper.make_tensor_value_info(value.name, element, shape))
    return typed


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def run(model: onnx.ModelProto, x: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the first output, in onnxruntime without optimisation."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0], np.float32)


def floats(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
