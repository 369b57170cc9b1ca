"""A network for a DLA: no Q/DQ, and a range for each tensor of a convolution."""

from pathlib import Path

import numpy as np
import onnx

from calibration.onnx_graph import OnnxGraph
from targets.runtime.reference_runner import open_engine
from targets.runtime.tensorrt.dla import ranges_of, write_for_dla
from targets.runtime.tensorrt.mixed_onnx import QdqFile
from tests.calibration.conftest import pictures
from tests.targets.tensorrt.conftest import SHAPE


def test_it_computes_what_the_float_network_does_with_int8s_weights(
    int8_model: Path, float_model: Path, tmp_path: Path
) -> None:
    write_for_dla(int8_model, tmp_path / "dla.onnx")
    model = onnx.load(tmp_path / "dla.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in model.graph.node}
    with open_engine(tmp_path / "dla.onnx") as dla, open_engine(float_model) as floats:
        found, wanted = dla.infer(pictures(8, SHAPE)), floats.infer(pictures(8, SHAPE))
    assert (
        10 * np.log10((wanted**2).sum() / ((found - wanted) ** 2).sum()) > 30
    )  # the weights' rounding alone


def test_ranges_are_127_steps_and_cover_what_convolutions_read_and_write(int8_model: Path) -> None:
    graph, ranges = OnnxGraph.load(int8_model), ranges_of(QdqFile(int8_model.read_bytes()))
    for node in graph.nodes:
        if node.op_type == "QuantizeLinear":
            scale = graph.constant(node.input[1])
            assert scale is not None
            assert np.isclose(ranges[node.input[0]], 127 * float(scale))
    written = [node.output[0] for node in graph.nodes if node.op_type in ("Conv", "Relu", "Add", "MaxPool")]
    missing = [name for name in written if name not in ranges]
    assert missing == []


def test_what_relu_and_the_sum_behind_a_convolution_read_has_their_range(int8_model: Path) -> None:
    graph, ranges = OnnxGraph.load(int8_model), ranges_of(QdqFile(int8_model.read_bytes()))
    for node in graph.nodes:
        if node.op_type == "Relu":
            assert ranges[node.input[0]] == ranges[node.output[0]]
