"""Engines of residual networks with random weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from targets.runtime.preprocess import Preprocessing
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from tests.targets.tvm.qdq_model import QdqModel


def residual_network(side: int, widths: Sequence[int], blocks: int, path: Path) -> Path:
    """Write an engine: ResNet-20 is (32, (16, 32, 64), 3)."""
    m = QdqModel(side, side, 3)
    stem: dict[str, Any] = {"kernel": 7, "strides": [4, 4], "pads": [3, 3, 3, 3]} if side > 64 else {}
    x = m.quantized(m.node("Relu", m.conv(m.image(), widths[0], 3, **stem)), 0.5, 0)
    inputs = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            step = 2 if stage and not block else 1
            y = m.quantized(m.node("Relu", m.conv(x, width, inputs, strides=[step, step])), 2.0, 0)
            kept = x
            if width != inputs:
                kept = m.quantized(m.conv(x, width, inputs, 1, strides=[2, 2]), 2.0, 128)
            y = m.quantized(m.conv(y, width, width), 2.0, 128)
            x = m.quantized(m.node("Relu", m.node("Add", y, kept)), 8.0, 0)
            inputs = width
    x = m.quantized(m.node("GlobalAveragePool", x), 4.0, 0)
    model = m.save(m.gemm(m.node("Flatten", x), 10, inputs), path.with_suffix(".onnx"))
    write_engine(import_graph(model), host_isa(), path, Preprocessing(side, side, 3))
    return path
