"""Writes a .tflite network as a Q/DQ ONNX graph, channels second, that takes pixels.

Every rounding of the file becomes a QuantizeLinear with its DequantizeLinear, so that the graph means what
the interpreter computes, up to the rounding of its requantisation.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from calibration.onnx_graph import IMAGE
from pipeline.difference.tflite.flatbuffer import TfliteNetwork
from pipeline.difference.tflite.graph_writer import TO_PLANES, GraphWriter
from pipeline.difference.tflite.written_operators import write_operator
from pipeline.models.input_form import InputForm


def front(writer: GraphWriter, form: InputForm) -> None:
    """Write what brings pixels into the file's input."""
    tensor = writer.network.input
    channels = tensor.shape[3]
    mean, std = (np.resize(np.asarray(v, np.float64), channels) for v in (form.mean, form.std))
    made = writer.add("Cast", [IMAGE], "input/numbers", to=TensorProto.FLOAT)
    if form.colors == "BGR" and channels == 3:
        made = writer.add(
            "Gather", [made, writer.constant("input/bgr", np.array([2, 1, 0]))], "input/colours", axis=3
        )
    centre = writer.constant("input/mean", (255 * mean).astype(np.float32))
    factor = writer.constant("input/factor", (1 / (255 * std)).astype(np.float32))
    made = writer.add("Mul", [writer.add("Sub", [made, centre], "input/centred"), factor], "input/unit")
    made = writer.add("Transpose", [made], tensor.name, perm=TO_PLANES)
    writer.finish(writer.network.source, made)


def as_onnx(network: TfliteNetwork, form: InputForm) -> onnx.ModelProto:
    """Return the network as an ONNX graph, pixels uint8 [N, H, W, C] to its output.

    Raises ValueError naming an operator that is not read here.
    """
    writer = GraphWriter(network)
    front(writer, form)
    for operator in network.operators:
        write_operator(writer, operator)
    result = network.output
    sides = result.shape[1:] if len(result.shape) < 4 else tuple(result.shape[i] for i in (3, 1, 2))
    writer.add("Identity", [writer.source(result.index)], "logits")
    graph = helper.make_graph(
        writer.nodes,
        "tflite",
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["N", *network.input.shape[1:]])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", *sides])],
        writer.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
