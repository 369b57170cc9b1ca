"""Why a quantised network cannot be compiled as it is."""

import onnx

from calibration.onnx_graph import node_label
from pipeline.errors import CheckpointError

WITHOUT_THIS = "Quantise it without that, or give edgec the float network: it quantises by itself."


class NoQdqForm(CheckpointError):
    """A node that no exact Q/DQ form has; its text names the node, says why, and what to do."""

    def __init__(self, node: onnx.NodeProto, why: str, advice: str = WITHOUT_THIS) -> None:
        super().__init__(f"{node.op_type} {node_label(node)!r} {why}. {advice}")
