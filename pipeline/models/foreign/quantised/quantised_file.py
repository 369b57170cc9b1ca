"""Whether a file is quantised, by its operators alone."""

from pathlib import Path

from pipeline.models.foreign.onnx_file import read_onnx

DYNAMIC = frozenset(
    {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}
)
"""Operators that compute their scales for each image, or have no scale for their sums."""


def is_quantised_file(path: Path) -> bool:
    """Whether a file quantises activations. Raises CheckpointError if it cannot be read."""
    model = read_onnx(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    return any(
        node.op_type.startswith(("QLinear", "QGemm"))
        or node.op_type in DYNAMIC
        or (node.op_type == "QuantizeLinear" and node.input[0] not in constants)
        for node in model.graph.node
    )
