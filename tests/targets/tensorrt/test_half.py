from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from targets.errors import EngineError
from targets.runtime.reference_runner import open_engine
from targets.tensorrt.half import all_to_half, float_layers_to_half, to_half
from tests.calibration.conftest import pictures
from tests.targets.tensorrt.conftest import SHAPE


def logits(model: onnx.ModelProto, folder: Path) -> NDArray[np.float32]:
    """What onnxruntime computes, which takes FP16 too."""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    with open_engine(folder / "model.onnx") as runner:
        return runner.infer(pictures(8, SHAPE))


def types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    return {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}


def test_a_float_network_computes_in_fp16_from_its_first_convolution_on(
    float_model: Path, tmp_path: Path
) -> None:
    before = onnx.load(float_model)
    after = to_half(before)
    known = types(after)
    for node in after.graph.node:
        if node.op_type in ("Conv", "Relu", "Add", "Gemm", "GlobalAveragePool"):
            assert {known[name] for name in node.output} == {TensorProto.FLOAT16}
        if node.op_type in ("Sub", "Mul"):
            assert {known[name] for name in node.output} == {TensorProto.FLOAT}
    (output,) = after.graph.output
    assert (output.name, output.type.tensor_type.elem_type) == ("logits", TensorProto.FLOAT)
    assert np.allclose(logits(after, tmp_path), logits(before, tmp_path), atol=5e-3)


def test_in_a_quantised_network_only_float_layers_change(int8_model: Path, tmp_path: Path) -> None:
    before = onnx.load(int8_model)
    after = float_layers_to_half(before)
    kept = {node.name: node for node in after.graph.node}
    changed = [node.name for node in before.graph.node if kept[node.name] != node]
    assert [kept[name].op_type for name in changed] == ["Gemm"]
    constants = {i.name: i for i in after.graph.initializer}
    assert constants[kept[changed[0]].input[1]].data_type == TensorProto.FLOAT16
    assert np.allclose(logits(after, tmp_path), logits(before, tmp_path), atol=2e-3)


def test_weights_that_fp16_cannot_hold_are_named(float_model: Path) -> None:
    model = onnx.load(float_model)
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    weights = next(i for i in model.graph.initializer if i.name == gemm.input[1])
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(1e7), weights.name))
    with pytest.raises(EngineError, match="FP16 ends at 65504") as error:
        to_half(model)
    assert gemm.name in str(error.value)


def test_a_tensor_that_float_layers_hand_on_is_cast_once_each_way() -> None:
    """conv -> conv -> relu: nothing is cast between FP16 layers; shared weights are rounded once."""
    weight = numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], "first"),
        helper.make_node("Conv", ["a", "w"], ["b"], "second"),
        helper.make_node("Relu", ["b"], ["logits"], "relu"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2, 4, 4])
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, 4, 4])
    graph = helper.make_graph(nodes, "g", [image], [output], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for made in (to_half(model), float_layers_to_half(model)):
        onnx.checker.check_model(made, full_check=True)
        assert [node.op_type for node in made.graph.node].count("Cast") == 2
        assert [i.name for i in made.graph.initializer] == ["w/half"]


def test_with_fp16_scales_nothing_is_cast_between_layers(int8_model: Path, tmp_path: Path) -> None:
    before = onnx.load(int8_model)
    after = all_to_half(before)
    assert after.opset_import[0].version == 19
    assert [node.name for node in after.graph.node if node.op_type == "Conv"] == [
        node.name for node in before.graph.node if node.op_type == "Conv"
    ]
    known = types(after)
    for node in after.graph.node:
        if node.op_type in ("Conv", "Relu", "Add", "Gemm", "GlobalAveragePool", "DequantizeLinear"):
            assert {known[name] for name in node.output} == {TensorProto.FLOAT16}, node.name
    casts = [node.name for node in after.graph.node if node.op_type == "Cast"]
    assert len(casts) == [node.op_type for node in before.graph.node].count("Cast") + 1  # of the logits
    assert np.allclose(logits(after, tmp_path), logits(before, tmp_path), atol=5e-2)


def test_a_scale_that_fp16_holds_only_roughly_is_named(int8_model: Path) -> None:
    model = onnx.load(int8_model)
    node = next(node for node in model.graph.node if node.op_type == "DequantizeLinear")
    scale = next(i for i in model.graph.initializer if i.name == node.input[1])
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(1e-6), scale.name))
    with pytest.raises(EngineError, match=r"has a scale of .+; FP16 holds 6\.1"):
        all_to_half(model)
