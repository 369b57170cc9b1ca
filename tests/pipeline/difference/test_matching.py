"""Tensors of two networks that name and order them differently."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.difference.matched_weights import by_weights
from pipeline.difference.matching import match_tensors
from pipeline.difference.observed import tensor_values
from pipeline.difference.real_graph import read_real_graph

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)


def two_branches(order: tuple[str, str], prefix: str, kernels: tuple[int, int]) -> onnx.ModelProto:
    """Two convolutions of one input, whose results have one size and are added."""
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Cast", ["image"], [f"{prefix}real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", [f"{prefix}real"], [f"{prefix}planes"], perm=[0, 3, 1, 2]),
    ]
    weights = [
        numpy_helper.from_array(rng.normal(0, 1, (4, 3, size, size)).astype(np.float32), f"{prefix}{name}.w")
        for name, size in zip(("main", "side"), kernels, strict=True)
    ]
    size = dict(zip(("main", "side"), kernels, strict=True))
    for name in order:
        inputs, pads = [f"{prefix}planes", f"{prefix}{name}.w"], [size[name] // 2] * 4
        nodes.append(helper.make_node("Conv", inputs, [f"{prefix}{name}"], pads=pads))
    nodes.append(helper.make_node("Add", [f"{prefix}main", f"{prefix}side"], [f"{prefix}sum"]))
    nodes.append(helper.make_node("GlobalAveragePool", [f"{prefix}sum"], [f"{prefix}mean"]))
    nodes.append(helper.make_node("Flatten", [f"{prefix}mean"], ["logits"]))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 6, 6, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph(nodes, "two branches", [image], [logits], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("kernels", [(3, 1), (3, 3)], ids=["kernels of two sizes", "told by their weights"])
@pytest.mark.parametrize("order", [("main", "side"), ("side", "main")])
def test_branches_are_not_taken_for_each_other(order: tuple[str, str], kernels: tuple[int, int]) -> None:
    a = read_real_graph(two_branches(("main", "side"), "", kernels))
    b = read_real_graph(two_branches(order, "other_", kernels))
    found = match_tensors(a, b, tensor_values(a, PICTURES), tensor_values(b, PICTURES), by_weights)
    assert found.names["main"] == "other_main"
    assert found.names["side"] == "other_side"
