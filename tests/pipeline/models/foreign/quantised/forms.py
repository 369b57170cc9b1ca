"""Quantised graphs as other tools write them, by hand."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

Constants = dict[str, NDArray[Any]]


Form = tuple[list[onnx.NodeProto], Constants]


node = helper.make_node


def integers(
    shape: tuple[int, ...], low: int, high: int, kind: type = np.int8, seed: int = 0
) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(low, high + 1, shape).astype(kind)


def rounded(
    source: str, to: str, scale: float, zero: int, constants: Constants, kind: type = np.uint8
) -> list[Any]:
    """Q and DQ, with the scalars they need."""
    constants |= {f"{to}_s": np.array(scale, np.float32), f"{to}_z": np.array(zero, kind)}
    grid = [f"{to}_s", f"{to}_z"]
    return [
        node("QuantizeLinear", [source, *grid], [f"{to}_q"], f"{to}_Q"),
        node("DequantizeLinear", [f"{to}_q", *grid], [to], f"{to}_DQ"),
    ]


def classifier(source: str, channels: int, constants: Constants) -> list[onnx.NodeProto]:
    """The mean of each channel, rounded, times weights in int8 of one scale: `output`."""
    constants |= {"fc": integers((10, channels), -127, 127, seed=9), "fc_s": np.array(0.004, np.float32)}
    return [
        node("GlobalAveragePool", [source], ["mean"]),
        node("Flatten", ["mean"], ["flat"]),
        *rounded("flat", "flat_dq", 0.01, 0, constants),
        node("DequantizeLinear", ["fc", "fc_s"], ["fc_dq"]),
        node("Gemm", ["flat_dq", "fc_dq"], ["output"], "classifier", transB=1),
    ]


def one_convolution(
    weight: NDArray[Any], scale: float | NDArray[Any], zero: int | NDArray[Any] | None = None, group: int = 1
) -> Form:
    """input -> Q/DQ -> Conv -> Relu -> Q/DQ -> classifier; weights behind a DequantizeLinear."""
    constants: Constants = {"w": weight, "w_s": np.asarray(scale, np.float32)}
    read_weights = ["w", "w_s"]
    if zero is not None:
        constants["w_z"] = np.asarray(zero, weight.dtype)
        read_weights.append("w_z")
    axis = 0 if np.ndim(scale) else None
    nodes = [
        *rounded("input", "x", 0.02, 120, constants),
        node("DequantizeLinear", read_weights, ["w_dq"], "weights", axis=axis),
        node("Conv", ["x", "w_dq"], ["c"], "conv", group=group),
        node("Relu", ["c"], ["r"]),
        *rounded("r", "y", 0.015, 0, constants),
        *classifier("y", len(weight), constants),
    ]
    return nodes, constants


def uint8_weights() -> Form:
    return one_convolution(integers((16, 3, 3, 3), 0, 255, np.uint8), 0.004, 60)


def floats_that_lie_on_a_grid() -> Form:
    """Weights that FakeQuant rounded and the exporter computed, as tf2onnx does, with a scale or several."""
    nodes, constants = one_convolution(integers((16, 3, 3, 3), -127, 127), np.linspace(0.003, 0.005, 16), 0)
    begin, end = nodes[:2], nodes[5:]
    scales = constants.pop("w_s").reshape(16, 1, 1, 1)
    constants["w_dq"] = (constants.pop("w") * scales).astype(np.float32)
    constants["d"] = (integers((16, 1, 3, 3), -127, 127, seed=4) * np.float32(0.002)).astype(np.float32)
    constants["fc_dq"] = (constants.pop("fc").T * constants.pop("fc_s")).astype(np.float32)
    del constants["w_z"]
    last = node("MatMul", ["flat_dq", "fc_dq"], ["output"], "classifier")
    return [
        *begin,
        node("Conv", ["x", "w_dq"], ["c"], "conv"),
        node("Relu", ["c"], ["r"]),
        *rounded("r", "e", 0.015, 0, constants),
        node("Conv", ["e", "d"], ["f"], "depthwise", group=16),
        *rounded("f", "y", 0.01, 128, constants),
        *[one for one in end[2:] if one.output[0] not in ("fc_dq", "output")],
        last,
    ], constants


def uint8_weights_from_zero_on() -> Form:
    return one_convolution(integers((16, 3, 3, 3), 0, 255, np.uint8), 0.002, 0)


def uint8_weights_that_are_int8() -> Form:
    return one_convolution(integers((16, 3, 3, 3), 1, 255, np.uint8), 0.004, 128)


def a_zero_point_for_each_channel() -> Form:
    weight = integers((8, 3, 3, 3), 0, 255, np.uint8)
    return one_convolution(weight, np.linspace(0.002, 0.005, 8), np.arange(100, 108))


def grouped_with_wide_weights() -> Form:
    return one_convolution(integers((9, 1, 3, 3), 0, 255, np.uint8), 0.004, 90, group=3)


def the_lowest_weight() -> Form:
    return one_convolution(integers((16, 3, 3, 3), -128, 127), 0.004, 0)


def weights_that_are_rounded_in_the_graph() -> Form:
    """ModelOpt, and TensorRT's pytorch_quantization: float weights, a scale for each channel, Q and DQ."""
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), np.linspace(0.002, 0.005, 8))
    constants["w"] = (constants["w"] * 0.004 + 0.0003).astype(np.float32)
    constants["w_z"] = np.zeros(8, np.int8)
    place = next(i for i, one in enumerate(nodes) if one.name == "weights")
    nodes[place] = node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w_dq"], "weights", axis=0)
    nodes.insert(place, node("QuantizeLinear", ["w", "w_s", "w_z"], ["w_q"], "weights_Q", axis=0))
    return nodes, constants


def a_transposed_matrix_and_a_bias_behind() -> Form:
    """As torch's PT2E and others write a linear layer: DQ, Transpose, MatMul, Add; scales on axis 0."""
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), 0.004)
    constants |= {
        "fc_s": np.linspace(0.002, 0.004, 10).astype(np.float32),
        "b": np.arange(10, dtype=np.float32),
    }
    return [
        *nodes[:-2],
        node("DequantizeLinear", ["fc", "fc_s"], ["fc_dq"], axis=0),
        node("Transpose", ["fc_dq"], ["fc_t"], perm=[1, 0]),
        node("MatMul", ["flat_dq", "fc_t"], ["product"]),
        node("Add", ["product", "b"], ["output"]),
    ], constants


def a_norm_behind_a_layer() -> Form:
    """Quantisation-aware training that left its norms in; one gain is negative, one is nothing."""
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), 0.004)
    for name, low, high in (("gain", -0.5, 1.5), ("shift", -1, 1), ("mean_", -1, 1), ("var", 0.5, 2)):
        constants[name] = np.linspace(low, high, 8).astype(np.float32)
    constants["gain"][2] = 0
    place = next(i for i, one in enumerate(nodes) if one.op_type == "Relu")
    nodes[place] = node("Relu", ["n"], ["r"])
    nodes.insert(place, node("BatchNormalization", ["c", "gain", "shift", "mean_", "var"], ["n"]))
    return nodes, constants


def values_that_stay_on_their_grid() -> Form:
    """NNCF rounds in front of a MaxPool, and the convolution behind reads what it picked."""
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), 0.004)
    place = next(i for i, one in enumerate(nodes) if one.name == "conv")
    nodes[place] = node("Conv", ["p", "w_dq"], ["c"], "conv")
    nodes.insert(place, node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]))
    return nodes, constants


def rounding_behind_a_concat() -> Form:
    """One Q/DQ behind a Concat of two layers, none in front."""
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), 0.004)
    start, behind = nodes[:4], nodes[5:]
    constants |= {"v": integers((8, 3, 3, 3), -127, 127, seed=3), "v_s": np.array(0.003, np.float32)}
    constants["fc"] = integers((10, 16), -127, 127, seed=4)
    return [
        *start,
        node("DequantizeLinear", ["v", "v_s"], ["v_dq"]),
        node("Conv", ["x", "v_dq"], ["d"]),
        node("Relu", ["c"], ["c_r"]),
        node("Relu", ["d"], ["d_r"]),
        node("Concat", ["c_r", "d_r"], ["r"], "concat", axis=1),
        *behind,
    ], constants


def a_scale_for_each_channel_of_a_depthwise_layer() -> Form:
    """NNCF: the activation has a scale for each channel, and the layer behind sums over one channel alone."""
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), 0.004)
    start = nodes[:4]
    constants |= {
        "six": np.array(6, np.float32),
        "nothing": np.array(0, np.float32),
        "a_s": np.linspace(0.005, 6 / 255, 8).astype(np.float32),
        "a_z": np.zeros(8, np.uint8),
        "v": integers((8, 1, 3, 3), -127, 127, seed=3),
        "v_s": np.linspace(0.002, 0.004, 8).astype(np.float32),
    }
    return [
        *start,
        node("Clip", ["c", "nothing", "six"], ["a"]),
        node("QuantizeLinear", ["a", "a_s", "a_z"], ["a_q"], "each_Q", axis=1),
        node("DequantizeLinear", ["a_q", "a_s", "a_z"], ["a_dq"], axis=1),
        node("DequantizeLinear", ["v", "v_s"], ["v_dq"], axis=0),
        node("Conv", ["a_dq", "v_dq"], ["r"], "depthwise", group=8),
        *nodes[5:],
    ], constants


def clipped(source: str, to: str, scale: float, low: int, high: int, constants: Constants) -> list[Any]:
    """Q, Clip and DQ around zero, as Brevitas (QCDQ) and torch's fake quantisation write them."""
    nodes = rounded(source, to, scale, 0, constants, np.int8)
    constants |= {f"{to}_low": np.array(low, np.int8), f"{to}_high": np.array(high, np.int8)}
    nodes[1].input[0] = f"{to}_c"
    nodes.insert(1, node("Clip", [f"{to}_q", f"{to}_low", f"{to}_high"], [f"{to}_c"], f"{to}_Clip"))
    return nodes


def fewer_bits_and_narrow_ranges() -> Form:
    """4 bits of a convolution's output and of its weights, and an input from -127 on."""
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), np.linspace(0.05, 0.08, 8))
    constants["w"] = (constants["w"] * 0.004).astype(np.float32)
    constants["w_z"] = np.zeros(8, np.int8)
    weights = clipped("w", "w_dq", 1, -7, 7, constants)
    for one in (weights[0], weights[2]):
        one.input[1:] = ["w_s", "w_z"]
        one.attribute.append(helper.make_attribute("axis", 0))
    start = clipped("input", "x", 0.012, -127, 127, constants)
    conv = [one for one in nodes if one.op_type == "Conv"]
    ends = nodes[[one.op_type for one in nodes].index("Conv") + 4 :]
    return [*start, *weights, *conv, *clipped("c", "y", 0.2037, -8, 7, constants), *ends], constants


def integers_that_are_moved() -> Form:
    """Operators between Q and DQ: a pool, a Pad that fills with an integer, a Transpose there and back."""
    constants: Constants = {
        **{"x_s": np.array([0.02], np.float32), "x_z": np.array([120], np.uint8)},
        **{"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "fill": np.array(7, np.uint8)},
        **{"w": integers((8, 3, 3, 3), -127, 127), "w_s": np.array([0.004], np.float32)},
    }
    return [
        node("QuantizeLinear", ["input", "x_s", "x_z"], ["q"]),
        node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Pad", ["p", "pads", "fill"], ["wide"]),
        node("Transpose", ["wide"], ["t"], perm=[0, 2, 3, 1]),
        node("Transpose", ["t"], ["back"], perm=[0, 3, 1, 2]),
        node("DequantizeLinear", ["back", "x_s", "x_z"], ["x"]),
        node("DequantizeLinear", ["w", "w_s"], ["w_dq"]),
        node("Conv", ["x", "w_dq"], ["c"]),
        node("Relu", ["c"], ["r"]),
        *rounded("r", "y", 0.015, 0, constants),
        *classifier("y", 8, constants),
    ], constants
