"""The torch implementation of each ONNX operator that compilers run: opsets 11 to 23, with gradients.

A kernel gets the node and its inputs, None for one that is left out, and returns the first output, or all
outputs. Raises ModelError for a form of the operator that is not known here.
"""

import onnx

from calibration.differentiable import movement, products, scalar_functions, windowed
from calibration.differentiable.kernel import Kernel
from calibration.errors import ModelError
from calibration.onnx_graph import node_label

_KERNELS: dict[str, Kernel] = {
    **scalar_functions.KERNELS,
    **movement.KERNELS,
    **products.KERNELS,
    **windowed.KERNELS,
}


def kernel_of(node: onnx.NodeProto) -> Kernel:
    """The torch implementation of a node's operator. Raises ModelError if there is none."""
    if node.op_type not in _KERNELS or node.domain not in ("", "ai.onnx"):
        raise ModelError(f"{node_label(node)} is a {node.op_type}, which has no gradient here")
    return _KERNELS[node.op_type]
