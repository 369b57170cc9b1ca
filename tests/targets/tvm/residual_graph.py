"""A residual network of integer operators, at any size of pictures."""

from pathlib import Path

import numpy as np

from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import IntegerGraph
from tests.targets.tvm.qdq_model import QdqModel


def residual_network(height: int, width: int, folder: Path) -> IntegerGraph:
    """Two stages as in ResNet-20, the second behind a stride and a shortcut of slices and padding.

    Then a 1x1, a depthwise and a grouped convolution.
    """
    m = QdqModel(height, width, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 16, 3)), 0.5, 0)
    for _ in range(3):
        y = m.quantized(m.node("Relu", m.conv(x, 16, 16)), 2.0, 0)
        x = m.quantized(m.node("Relu", m.node("Add", m.conv(y, 16, 16), x)), 8.0, 0)
    y = m.quantized(m.node("Relu", m.conv(x, 32, 16, strides=[2, 2])), 2.0, 0)
    bounds = (m.constant(np.array(v, np.int64)) for v in ([0, 0], [height, width], [2, 3], [2, 2]))
    channels = m.constant(np.array([0, 8, 0, 0, 0, 8, 0, 0], np.int64))
    short = m.node("Pad", m.node("Slice", x, *bounds), channels)
    x = m.quantized(m.node("Relu", m.node("Add", m.conv(y, 32, 32), m.quantized(short, 8.0, 0))), 8.0, 0)
    for kernel, group in ((1, 1), (3, 32), (3, 16)):
        y = m.quantized(m.node("Relu", m.conv(x, 32, 32 // group, kernel, group=group)), 4.0, 0)
        x = m.quantized(m.node("Relu", m.node("Add", m.conv(y, 32, 32), x)), 8.0, 0)
    x = m.quantized(m.node("GlobalAveragePool", x), 4.0, 0)
    return import_graph(m.save(m.gemm(m.node("Flatten", x), 7, 32), folder / "model.onnx"))
