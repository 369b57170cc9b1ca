"""Writing small Q/DQ models by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


class QdqModel:
    """Appends nodes; each method returns the name of the tensor it made."""

    def __init__(self, height: int, width: int, channels: int, seed: int = 0, opset: int = 17) -> None:
        self.opset = opset
        self.size = (height, width, channels)
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, value: NDArray[np.generic] | np.generic) -> str:
        name = f"constant{len(self.initializers)}"
        self.initializers[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 -- ONNX attributes
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [f"{name}/out"], name, **attributes))
        return f"{name}/out"

    def image(self) -> str:
        channels = self.size[2]
        nchw = self.node("Transpose", "image", perm=[0, 3, 1, 2])
        zeros = np.arange(100, 100 + channels, dtype=np.uint8)
        scale, zero = self.constant(np.ones(channels, np.float32)), self.constant(zeros)
        return self.node("DequantizeLinear", nchw, scale, zero, axis=1)

    def quantized(self, x: str, scale: float, zero: int, dtype: type[np.generic] = np.uint8) -> str:
        names = self.constant(np.float32(scale)), self.constant(np.array(zero, dtype))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *names), *names)

    def weights(self, *shape: int) -> str:
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        scales = self.random.uniform(0.5, 1.5, shape[0]).astype(np.float32) * np.float32(0.003)
        names = (self.constant(v) for v in (values, scales, np.zeros(shape[0], np.int8)))
        return self.node("DequantizeLinear", *names, axis=0)

    def conv(self, x: str, outputs: int, inputs: int, kernel: int = 3, **attributes: Any) -> str:  # noqa: ANN401 -- ONNX attributes
        bias = self.constant(self.random.normal(0, 0.5, outputs).astype(np.float32))
        options = {"pads": [kernel // 2] * 4, **attributes}
        return self.node("Conv", x, self.weights(outputs, inputs, kernel, kernel), bias, **options)

    def gemm(self, x: str, outputs: int, inputs: int) -> str:
        bias = self.constant(self.random.normal(0, 0.5, outputs).astype(np.float32))
        return self.node("Gemm", x, self.weights(outputs, inputs), bias, transB=1)

    def model(self, output: str) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *self.size])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", None])
        nodes = [*self.nodes, helper.make_node("Identity", [output], ["logits"], "last")]
        graph = helper.make_graph(nodes, "hand", [image], [logits], list(self.initializers.values()))
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=max(9, helper.find_min_ir_version_for(opsets))
        )

    def save(self, output: str, path: Path) -> Path:
        onnx.save(self.model(output), path)
        return path


def small_classifier(path: Path, side: int) -> Path:
    """Write a network of a convolution, average pooling and 7 classes, for RGB images of that side."""
    m = QdqModel(side, side, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 16, 3, strides=[2, 2])), 0.5, 0)
    x = m.quantized(m.node("GlobalAveragePool", x), 0.05, 0)
    return m.save(m.gemm(m.node("Flatten", x), 7, 16), path)
