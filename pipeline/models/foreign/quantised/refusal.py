"""Why a quantised network cannot be compiled as it is."""

import onnx

from calibration.onnx_graph import node_label
from pipeline.errors import CheckpointError

WITHOUT_THIS = "Quantise it without that, or give edgec the float network, which it quantises itself."


class NoQdqForm(CheckpointError):
    """A node without an exact Q/DQ form; the message names it, and says why and what to do."""

    def __init__(self, node: onnx.NodeProto, why: str, advice: str = WITHOUT_THIS) -> None:
        super().__init__(f"{node.op_type} {node_label(node)!r} {why}. {advice}")
