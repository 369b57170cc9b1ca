"""A network with some convolutions in float, written without the onnx package, as onnxruntime computes it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.onnx_graph import OnnxGraph
from targets.runtime.reference_runner import open_engine
from targets.runtime.tensorrt.engine import EngineProblem
from targets.runtime.tensorrt.mixed_onnx import QdqFile
from targets.tensorrt.half import all_to_half
from tests.calibration.conftest import pictures
from tests.targets.tensorrt.conftest import SHAPE


def logits(content: bytes, folder: Path) -> NDArray[np.float32]:
    (folder / "mixed.onnx").write_bytes(content)
    onnx.checker.check_model(onnx.load(folder / "mixed.onnx"), full_check=True)
    with open_engine(folder / "mixed.onnx") as runner:
        return runner.infer(pictures(8, SHAPE))


def convolutions(model: onnx.ModelProto) -> list[str]:
    return [node.name for node in model.graph.node if node.op_type == "Conv"]


def test_a_network_of_which_nothing_changes_stays_what_it_is(int8_model: Path, tmp_path: Path) -> None:
    network = QdqFile(int8_model.read_bytes())
    before = onnx.load(int8_model)
    assert network.quantised_convolutions() == convolutions(before)
    after = onnx.load_model_from_string(network.in_float([]))
    assert list(after.graph.node) == list(before.graph.node)
    assert np.array_equal(logits(network.in_float([]), tmp_path), logits(int8_model.read_bytes(), tmp_path))


def test_a_float_convolution_reads_its_input_unrounded_and_the_weights_it_had(
    int8_model: Path, tmp_path: Path
) -> None:
    network = QdqFile(int8_model.read_bytes())
    before = OnnxGraph(onnx.load(int8_model))
    for name in convolutions(before.model):
        after = OnnxGraph(onnx.load_model_from_string(network.in_float([name])))
        (node,) = [one for one in after.nodes if one.name == name]
        (was,) = [one for one in before.nodes if one.name == name]
        maker = after.producer_index(node.input[0])
        assert maker is None or after.nodes[maker].op_type != "DequantizeLinear"
        undone = before.nodes[before.producer_index(was.input[1]) or 0]
        values, scale = (before.constant(name) for name in undone.input[:2])
        weights = after.constant(node.input[1])
        assert values is not None
        assert scale is not None
        assert weights is not None
        assert np.array_equal(weights, values.astype(np.float32) * scale.reshape(-1, 1, 1, 1))
        assert logits(network.in_float([name]), tmp_path).shape[0] == 8


def test_with_every_convolution_in_float_none_of_them_is_rounded(int8_model: Path, tmp_path: Path) -> None:
    network = QdqFile(int8_model.read_bytes())
    whole = network.in_float(network.quantised_convolutions())
    assert QdqFile(whole).quantised_convolutions() == []
    kinds = [node.op_type for node in onnx.load_model_from_string(whole).graph.node]
    before = [node.op_type for node in onnx.load(int8_model).graph.node]
    assert kinds.count("QuantizeLinear") < before.count("QuantizeLinear")
    assert logits(whole, tmp_path).shape[0] == 8


def test_the_identity_that_is_added_to_a_float_convolution_is_read_unrounded(int8_model: Path) -> None:
    graph = OnnxGraph(onnx.load(int8_model))
    add = next(node for node in graph.nodes if node.op_type == "Add")
    names = {i: graph.nodes[i].op_type for name in add.input if (i := graph.producer_index(name)) is not None}
    main = next(graph.nodes[i].name for i, kind in names.items() if kind == "Conv")
    mixed = OnnxGraph(onnx.load_model_from_string(QdqFile(int8_model.read_bytes()).in_float([main])))
    (after,) = [node for node in mixed.nodes if node.name == add.name]
    makers = [mixed.producer_index(name) for name in after.input]
    assert "DequantizeLinear" not in [mixed.nodes[i].op_type for i in makers if i is not None]


def test_in_fp16_only_the_first_convolution_stays_8_bit_and_weights_become_fp16(
    int8_model: Path, tmp_path: Path
) -> None:
    half = all_to_half(onnx.load(int8_model)).SerializeToString()
    network = QdqFile(half)
    names = convolutions(onnx.load(int8_model))
    assert network.quantised_convolutions() == names[1:]  # its pixels are rounded in FP32
    mixed = network.in_float(names[1:])
    constants = {i.name: i.data_type for i in onnx.load_model_from_string(mixed).graph.initializer}
    assert {kind for name, kind in constants.items() if name.endswith("/float")} == {onnx.TensorProto.FLOAT16}
    assert np.allclose(logits(mixed, tmp_path), logits(int8_model.read_bytes(), tmp_path), atol=0.2)


@pytest.mark.parametrize("content", [b"", b"no graph at all", b"\x3a\xff\x01"])
def test_what_is_no_network_is_an_error(content: bytes) -> None:
    with pytest.raises(EngineProblem, match="not an ONNX file"):
        QdqFile(content)
