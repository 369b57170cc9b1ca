"""What can be written in 16 bits: by the operators of an integer engine, and in ONNX."""

from onnx import version_converter

from calibration.errors import ModelError
from calibration.grid import WIDE_OPSET
from calibration.onnx_graph import OnnxGraph
from calibration.pointwise import BOUNDS, Elementwise

WRITERS = frozenset({"Conv", "Gemm", "Add", "Mul", "GlobalAveragePool", "AveragePool", "ReduceMean"})
_PASSED = BOUNDS | {"Flatten", "Squeeze", "Dropout", "Identity"}


def check_opset(graph: OnnxGraph) -> None:
    """Raise ModelError if the graph cannot be written with 16-bit Q/DQ."""
    try:
        version_converter.convert_version(graph.model, WIDE_OPSET)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the network cannot be written in opset {WIDE_OPSET}: {error}") from error


def is_written_wide(graph: OnnxGraph, functions: Elementwise, tensor: str) -> bool:
    """Whether an operator that can write 16 bits computes a tensor, and no table of a function."""
    while (node := graph.producer(tensor)) is not None:
        if tensor in functions.chains or functions.scaled_in_registers(node):
            return True
        if tensor in functions.source:
            return False
        if node.op_type not in _PASSED:
            return node.op_type in WRITERS
        tensor = node.input[0]
    return False
