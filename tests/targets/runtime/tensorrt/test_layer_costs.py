"""Which convolution a layer's time is charged to, in the inspector's form of TensorRT 8.5 to 10."""

import json

import numpy as np

from targets.runtime.tensorrt.layer_costs import charged
from targets.runtime.tensorrt.layers import Layer, read_layers

CONVOLUTIONS = ("/a/Conv", "/b/Conv", "/b/Conv_1", "/c/Conv")


def engine(*layers: tuple[str, str, str, str]) -> list[Layer]:
    """Layers by name, kind, and the tensors they read and write."""
    described = [
        {
            "Name": name,
            "LayerType": kind,
            "Inputs": [{"Name": one, "Format/Datatype": "Int8"} for one in reads.split()],
            "Outputs": [{"Name": one, "Format/Datatype": "Int8"} for one in writes.split()],
        }
        for name, kind, reads, writes in layers
    ]
    return read_layers(json.dumps({"Layers": described}))


def costs(layers: list[Layer], **times: float) -> dict[str, float]:
    runs = [{layer.name: ms for layer, ms in zip(layers, times.values(), strict=True)}] * 3
    return {name: float(np.median(found)) for name, found in charged(layers, runs, CONVOLUTIONS).items()}


def test_a_reformat_and_a_lone_q_are_charged_to_the_convolution_that_needs_them() -> None:
    layers = engine(
        ("Reformatting CopyNode for Input Tensor 0 to /b/Conv", "Reformat", "x", "x1"),
        ("/a/relu/quantized/QuantizeLinear", "Scale", "x1", "x2"),
        ("w.weight/dequantized/DequantizeLinear + /a/Conv + /a/Relu", "CaskConvolution", "x2", "y"),
        ("/c/Conv", "CaskConvolution", "y", "z"),
        ("/fc/Gemm", "CaskGemm", "z", "logits"),
    )
    assert costs(layers, reformat=0.25, q=0.5, conv=1.0, c=2.0, fc=8.0) == {"/a/Conv": 1.75, "/c/Conv": 2.0}


def test_what_two_convolutions_read_is_shared() -> None:
    layers = engine(
        ("Reformatting CopyNode 0", "Reformat", "x", "x1"),
        ("/a/Conv", "CaskConvolution", "x1", "y"),
        ("/c/Conv", "CaskConvolution", "x1", "z"),
    )
    assert costs(layers, reformat=1.0, a=1.0, c=2.0) == {"/a/Conv": 1.5, "/c/Conv": 2.5}


def test_a_name_that_begins_like_another_is_not_taken_for_it() -> None:
    layers = engine(("/b/Conv_1 + /b/Relu", "CaskConvolution", "x", "y"))
    assert costs(layers, one=1.0) == {"/b/Conv_1": 1.0}


def test_convolutions_in_one_layer_cannot_be_told_apart() -> None:
    layers = engine(
        ("{ForeignNode[/a/Conv.../c/Conv]}", "Myelin", "x", "y"), ("/b/Conv", "CaskConvolution", "y", "z")
    )
    assert costs(layers, foreign=5.0, b=1.0) == {"/b/Conv": 1.0}


def test_the_onnx_nodes_are_read_from_the_metadata_where_names_do_not_tell() -> None:
    layers = [
        Layer("__myl_ConvRelu_myl0_3", "cask", "INT8", "INT8", False, ("x",), ("y",), "[ONNX Layer: /a/Conv]")
    ]
    assert costs(layers, conv=1.0) == {"/a/Conv": 1.0}


def test_layers_in_a_circle_end() -> None:
    layers = engine(("p", "x", "a", "b"), ("q", "x", "b", "a"))
    assert costs(layers, p=1.0, q=1.0) == {}
