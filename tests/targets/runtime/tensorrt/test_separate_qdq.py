"""Which Q/DQ TensorRT did not fuse, in the words of listings that NVIDIA and others published."""

import json

import numpy as np
import pytest
from onnx import NodeProto, helper, numpy_helper

from targets.runtime.tensorrt.layers import read_layers
from targets.runtime.tensorrt.mixed_onnx import QdqFile
from targets.runtime.tensorrt.separate_qdq import NamingLayer, SeparateQdq, naming, separate_qdq, words

MOBILENET_V2 = [
    ("QuantizeLinear_2", "Reformat", "QDQ"),
    ("features.0.0.weight + QuantizeLinear_8 + Conv_12 + PWN(Clip_16)", "CaskConvolution", ""),
    ("features.2.conv.2.weight + QuantizeLinear_90 + Conv_94", "CaskConvolution", ""),
    ("QuantizeLinear_98", "Reformat", "QDQ"),
    ("features.3.conv.0.0.weight + QuantizeLinear_104 + Conv_108 + PWN(Clip_112)", "CaskConvolution", ""),
    ("features.3.conv.2.weight + QuantizeLinear_138 + Conv_142 + Add_144", "CaskConvolution", ""),
    ("QuantizeLinear_147", "Reformat", "QDQ"),
    ("Reformatting CopyNode for Input Tensor 0 to GlobalAveragePool_843", "Reformat", "REFORMAT"),
]
"""Layers of a MobileNetV2 that was trained with Q/DQ, as TensorRT 8 built it. Its identities are not rounded,
so the Q behind them are layers of their own, which TensorRT calls QDQ. Source: NVIDIA/TensorRT,
tools/experimental/trt-engine-explorer/tests/inputs/mobilenet.qat.onnx.engine.graph.json, shortened."""


def mobilenet() -> QdqFile:
    """The nodes of that network that these layers are of, under their names."""
    nodes = [
        *pair("image", "2"),
        convolution("image/2", "8", "12"),
        helper.make_node("Clip", ["Conv_12"], ["Clip_16"], "Clip_16"),
        *pair("Clip_16", "20"),
        convolution("Clip_16/20", "90", "94"),
        *pair("Conv_94", "98"),
        convolution("Conv_94/98", "104", "108"),
        helper.make_node("Clip", ["Conv_108"], ["Clip_112"], "Clip_112"),
        *pair("Clip_112", "130"),
        convolution("Clip_112/130", "138", "142"),
        helper.make_node("Add", ["Conv_142", "Conv_94"], ["Add_144"], "Add_144"),
        *pair("Add_144", "147"),
    ]
    scale = numpy_helper.from_array(np.array(0.5, np.float32), "scale")
    weights = [numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), f"w{n}") for n in (8, 90, 104, 138)]
    for number in (8, 90, 104, 138):
        nodes[:0] = pair(f"w{number}", str(number))
    ends = [helper.make_tensor_value_info(name, 1, [1, 1, 8, 8]) for name in ("image", "Add_144/147")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [scale, *weights])
    return QdqFile(helper.make_model(graph).SerializeToString())


def pair(tensor: str, number: str) -> list[NodeProto]:
    """Q and DQ behind a tensor."""
    rounded = f"{tensor}/{number}q"
    return [
        helper.make_node("QuantizeLinear", [tensor, "scale"], [rounded], f"QuantizeLinear_{number}"),
        helper.make_node(
            "DequantizeLinear", [rounded, "scale"], [f"{tensor}/{number}"], f"DequantizeLinear_{number}"
        ),
    ]


def convolution(tensor: str, weights: str, number: str) -> NodeProto:
    return helper.make_node("Conv", [tensor, f"w{weights}/{weights}"], [f"Conv_{number}"], f"Conv_{number}")


def test_the_q_that_tensorrt_8_left_alone_are_named_with_the_convolution_before() -> None:
    described = [{"Name": name, "LayerType": kind, "Origin": origin} for name, kind, origin in MOBILENET_V2]
    layers = read_layers(json.dumps({"Layers": described}))
    found = separate_qdq(mobilenet(), [naming(one) for one in layers], {"QuantizeLinear_98": 0.0125})
    of_their_own = {name for name, _, origin in MOBILENET_V2 if origin == "QDQ"}
    assert {one.name for one in found} == of_their_own - {"QuantizeLinear_2"}  # that of the image has to be
    assert found == [
        SeparateQdq("QuantizeLinear_98", "Conv_94", alone=True, ms=0.0125),
        SeparateQdq("QuantizeLinear_147", "Conv_142", alone=True),
    ]
    assert words(found) == (
        "2 Q/DQ are not fused into the convolution before: QuantizeLinear_98 (a layer of its own behind "
        "Conv_94, 0.013 ms), QuantizeLinear_147 (a layer of its own behind Conv_142)"
    )


def test_a_q_behind_an_activation_is_of_the_convolution_before_it() -> None:
    alone = NamingLayer("QuantizeLinear_20", "Reformat", ("QuantizeLinear_20",))
    assert separate_qdq(mobilenet(), [alone]) == [SeparateQdq("QuantizeLinear_20", "Conv_12", alone=True)]


def test_a_q_in_a_generated_kernel_is_named_though_that_names_the_convolution_too() -> None:
    """As TensorRT-RTX 1.7.1 writes it on ResNet-20, where every convolution writes floats, and TensorRT 10.

    The kernel names the convolution whose scale and bias it has; a layer of another type multiplies.
    """

    def layer(name: str, kind: str, *nodes: str) -> dict[str, str]:
        return {"Name": name, "LayerType": kind, "Metadata": "\x1f".join(f"[ONNX Layer: {n}]" for n in nodes)}

    described = [
        layer("Conv_94_myl0_2", "correlation", "Conv_94", "DequantizeLinear_20", "DequantizeLinear_90"),
        layer("__myl_MulAddMulMinMaxRounCast_myl0_3", "kgen", "Conv_94", "QuantizeLinear_98"),
        layer("Conv_108_myl0_4", "correlation", "Conv_108", "Clip_112", "QuantizeLinear_130"),
        layer("__myl_AddMulMinMaxRounCast_myl0_5", "kgen", "Add_144", "QuantizeLinear_147"),
        layer("__myl_Dequ_myl0_6", "kgen", "DequantizeLinear_147"),
    ]
    layers = read_layers(json.dumps({"Layers": described}))
    found = separate_qdq(mobilenet(), [naming(one) for one in layers])
    assert [(one.name, one.behind, one.alone) for one in found] == [
        ("QuantizeLinear_98", "Conv_94", False),
        ("QuantizeLinear_147", "Conv_142", False),
        ("DequantizeLinear_147", "Conv_142", True),
    ]
    assert "QuantizeLinear_98 (in another layer behind Conv_94)" in words(found)
    only = [naming(one) for one in layers[1:2]]  # then it is this kernel that computes it
    assert separate_qdq(mobilenet(), only) == []


def test_of_a_q_that_tensorrt_repeats_the_one_that_is_not_fused_is_named() -> None:
    """Names as in NVIDIA/TensorRT#2527, where such a Q stands in the layer of a convolution."""
    names = [
        "features.2.conv.2.weight + QuantizeLinear_90 + Conv_94 + QuantizeLinear_98_clone_0",
        "QuantizeLinear_98_clone_1",
    ]
    layers = read_layers(
        json.dumps({"Layers": [{"Name": one, "LayerType": "CaskConvolution"} for one in names]})
    )
    assert separate_qdq(mobilenet(), [naming(one) for one in layers[:1]]) == []
    found = separate_qdq(mobilenet(), [naming(one) for one in layers])
    assert found == [SeparateQdq("QuantizeLinear_98_clone_1", "Conv_94", alone=True)]


def test_the_metadata_of_tensorrt_10_names_the_nodes_of_a_layer() -> None:
    """Entries as of a ResNet-18 in INT8 that TensorRT 10.1 described: NVIDIA/TensorRT#4020, shortened."""
    vectorised = "Thirty-two wide channel vectorized row major Int8 format"
    described = [
        {
            "Name": "Reformatting CopyNode for Input Tensor 0 to stage4_conv2_fwd + stage4__plus0",
            "LayerType": "Reformat",
            "Inputs": [{"Name": "data", "Format/Datatype": "Row major linear FP32"}],
            "Outputs": [{"Name": "Reformatted Input Tensor 0", "Format/Datatype": "Row major Int8 format"}],
            "Origin": "REFORMAT",
            "Metadata": "",
        },
        {
            "Name": "stage4_conv2_fwd + stage4_batchnorm2_fwd + stage4__plus0 + stage4_activation0",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Name": "stage4_relu0_fwd", "Format/Datatype": vectorised}],
            "Outputs": [{"Name": "stage4_activation0", "Format/Datatype": vectorised}],
            "Metadata": "\x1e".join(f"[ONNX Layer: {one}]" for one in ("stage4_conv2_fwd", "stage4__plus0")),
        },
    ]
    copy, convolution = read_layers(json.dumps({"Layers": described}))
    assert (copy.is_reformat, copy.precision, copy.written, naming(copy).nodes) == (True, "FP32", "INT8", ())
    assert (convolution.precision, convolution.written) == ("INT8", "INT8")
    assert naming(convolution).nodes == ("stage4_conv2_fwd", "stage4__plus0")


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        (
            "layer2.2.conv1.weight + QuantizeLinear_156_quantize_scale_node + Conv_158 + Relu_160",
            "QuantizeLinear_156",
        ),
        ("QuantizeLinear_151_quantize_scale_node", "QuantizeLinear_151"),
        ("PWN(PWN(Sigmoid_3, Mul_4), Add_5)", "Mul_4"),
        ("/a/Conv + /a/Relu || /b/Conv + /b/Relu", "/b/Conv"),
    ],
)
def test_nodes_are_found_in_the_names_that_layers_have(name: str, nodes: str) -> None:
    (layer,) = read_layers(json.dumps({"Layers": [name]}))
    assert nodes in naming(layer).nodes


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert separate_qdq(mobilenet(), [NamingLayer("Conv_94", "CaskConvolution", ("Conv_94",))]) == []
    assert words(None) == "which Q/DQ are fused is not known"
    assert words([]) == "no Q of a convolution's output is named by another layer than a convolution's"
