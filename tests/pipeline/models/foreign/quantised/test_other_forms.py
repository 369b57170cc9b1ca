"""Forms of other tools, written by hand as they write them, against onnxruntime on the same file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.scheme import Scheme
from pipeline.errors import CheckpointError
from pipeline.models.foreign.quantised.quantised_file import is_quantised_file
from targets.runtime.exact.session import AS_WRITTEN
from tests.pipeline.models.foreign.quantised.others import (
    MEAN,
    STD,
    as_it_came,
    decibels,
    in_integers,
    model,
    model_of,
    normalised,
    pictures,
    read,
    written_anew,
)

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


WIDE = {
    uint8_weights,
    uint8_weights_from_zero_on,
    a_zero_point_for_each_channel,
    grouped_with_wide_weights,
}
IN_FLOAT = {integers_that_are_moved}
"""Transposes and a padding of pixels have no integer form; between roundings they compute the same."""
FORMS: list[Callable[[], Form]] = [
    *sorted(WIDE, key=lambda form: form.__name__),
    uint8_weights_that_are_int8,
    the_lowest_weight,
    weights_that_are_rounded_in_the_graph,
    a_transposed_matrix_and_a_bias_behind,
    a_norm_behind_a_layer,
    values_that_stay_on_their_grid,
    rounding_behind_a_concat,
    a_scale_for_each_channel_of_a_depthwise_layer,
    integers_that_are_moved,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_the_engine_computes_what_the_file_does(form: Callable[[], Form], tmp_path: Path) -> None:
    """In integers from the first rounding on; a value at a half may fall to the other side."""
    from targets.tvm.importer import import_graph
    from targets.tvm.integer_graph import Island

    nodes, constants = form()
    onnx.save(model(nodes, constants), tmp_path / "theirs.onnx")
    images = pictures(8)
    expected = as_it_came(tmp_path / "theirs.onnx", normalised(images), AS_WRITTEN)
    network = read(tmp_path / "theirs.onnx")
    assert expected.std() > 0.05
    assert decibels(expected, written_anew(network, images)) > 38
    assert decibels(expected, in_integers(network, images, tmp_path)) > 38
    assert bool(network.quantised(Scheme.ASYM).split) == (form in WIDE)
    operators = import_graph(tmp_path / "model.int8.onnx").operators
    islands = [one.node for one in operators if isinstance(one, Island)]
    assert form in IN_FLOAT or islands == ["Cast 'image_cast' and 4 more"]  # the normalisation of pixels


def test_kernels_that_add_two_products_in_16_bits_get_no_lowest_weight(tmp_path: Path) -> None:
    nodes, constants = the_lowest_weight()
    onnx.save(model(nodes, constants), tmp_path / "theirs.onnx")
    network, images = read(tmp_path / "theirs.onnx"), pictures(4)
    written = network.quantised(Scheme.ASYM, lowest_weight=-127)
    assert written.split == ("conv",)
    stored = [numpy_helper.to_array(i) for i in written.model.graph.initializer if i.name.endswith("/weight")]
    assert min(one.min() for one in stored) == -127
    from targets.runtime.exact.session import open_session

    found = open_session(written.model.SerializeToString()).run(["logits"], {"image": images})[0]
    assert decibels(written_anew(network, images), found) > 100


def test_pixels_enter_as_they_are_where_the_graph_takes_uint8(tmp_path: Path) -> None:
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), 0.004)
    constants |= {"x_s": np.array(0.02, np.float32), "x_z": np.array(120, np.uint8)}
    theirs = model(
        [node("DequantizeLinear", ["input", "x_s", "x_z"], ["x"]), *nodes[2:]],
        constants,
        input_type=TensorProto.UINT8,
    )
    onnx.save(theirs, tmp_path / "theirs.onnx")
    images = pictures(4)
    fed = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    found = in_integers(read(tmp_path / "theirs.onnx"), images, tmp_path)
    assert decibels(as_it_came(tmp_path / "theirs.onnx", fed), found) > 38


def test_bgr_is_read_as_rgb_by_turning_the_stored_weights(tmp_path: Path) -> None:
    nodes, constants = uint8_weights()
    onnx.save(model(nodes, constants), tmp_path / "theirs.onnx")
    images = pictures(4)
    expected = as_it_came(tmp_path / "theirs.onnx", normalised(np.ascontiguousarray(images[..., ::-1])))
    network = read(tmp_path / "theirs.onnx", colors="BGR", mean=MEAN, std=STD)
    assert decibels(expected, written_anew(network, images)) > 38


def test_last_and_first_channels_are_told_apart_by_the_shape(tmp_path: Path) -> None:
    nodes, constants = uint8_weights()
    turned = [node("Transpose", ["input"], ["nchw"], perm=[0, 3, 1, 2]), *nodes]
    turned[1].input[0] = "nchw"
    theirs = model(turned, constants)
    for side, value in zip(theirs.graph.input[0].type.tensor_type.shape.dim[1:], (32, 32, 3), strict=True):
        side.dim_value = value
    onnx.save(theirs, tmp_path / "theirs.onnx")
    images = pictures(4)
    fed = np.ascontiguousarray(normalised(images).transpose(0, 2, 3, 1))
    assert (
        decibels(
            as_it_came(tmp_path / "theirs.onnx", fed), written_anew(read(tmp_path / "theirs.onnx"), images)
        )
        > 38
    )


def two_grids() -> Form:
    nodes, constants = uint8_weights()
    constants["other"] = np.array(0.03, np.float32)
    nodes[1].input[1] = "other"
    return nodes, constants


def many_scales() -> Form:
    nodes, constants = uint8_weights()
    constants |= {"x_s": np.array([0.01, 0.02, 0.03], np.float32), "x_z": np.full(3, 120, np.uint8)}
    for one in nodes[:2]:
        one.attribute.append(helper.make_attribute("axis", 1))
    return nodes, constants


def dynamic() -> Form:
    _, constants = uint8_weights()
    return [node("DynamicQuantizeLinear", ["input"], ["q", "s", "z"], "dynamic")], constants


def computed_on_integers() -> Form:
    nodes, constants = uint8_weights()
    constants["x_s2"] = np.array(1, np.float32)
    nodes.insert(1, node("Clip", ["x_q"], ["x_c"], "limit"))
    nodes[2].input[0] = "x_c"
    return nodes, constants


def a_scale_of_nothing() -> Form:
    nodes, constants = uint8_weights()
    constants["x_s"] = np.array(0, np.float32)
    return nodes, constants


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (two_grids, r"DequantizeLinear 'x_DQ' has another grid than 'x_Q', whose integers it reads"),
        (many_scales, r"QuantizeLinear 'x_Q' gives an activation 3 scales"),
        (dynamic, r"DynamicQuantizeLinear 'dynamic' is of dynamic quantisation, whose scales"),
        (computed_on_integers, r"Clip 'limit' computes with integers"),
        (a_scale_of_nothing, r"QuantizeLinear 'x_Q' has the scale 0; scales are finite and above zero"),
    ],
    ids=lambda given: given.__name__ if callable(given) else "",
)
def test_what_has_no_exact_form_is_refused_by_the_nodes_name(
    form: Callable[[], Form], why: str, tmp_path: Path
) -> None:
    nodes, constants = form()
    if form is dynamic:
        nodes.append(node("Flatten", ["q"], ["output"]))
    onnx.save(model(nodes, constants), tmp_path / "theirs.onnx")
    with pytest.raises(CheckpointError, match=why):
        read(tmp_path / "theirs.onnx")


def test_16_bits_are_refused_by_the_nodes_name(tmp_path: Path) -> None:
    nodes, constants = uint8_weights()
    constants["x_z"] = np.array(120, np.uint16)
    onnx.save(model(nodes, constants, opset=21), tmp_path / "theirs.onnx")
    with pytest.raises(CheckpointError, match=r"QuantizeLinear 'x_Q' is of uint16, and edgec"):
        read(tmp_path / "theirs.onnx")


def test_networks_that_only_store_integers_are_float_networks(tmp_path: Path) -> None:
    nodes, constants = uint8_weights()
    onnx.save(model(nodes, constants), tmp_path / "both.onnx")
    stored_alone = [one for one in nodes if not one.name.startswith(("x_", "y_", "flat_dq_"))]
    for one in stored_alone:
        one.input[:] = [{"x": "input", "y": "r", "flat_dq": "flat"}.get(name, name) for name in one.input]
    onnx.save(model(stored_alone, constants), tmp_path / "weights.onnx")
    assert is_quantised_file(tmp_path / "both.onnx")
    assert not is_quantised_file(tmp_path / "weights.onnx")
    from pipeline.models.foreign.rewrite import adopt
    from targets.runtime.exact.session import open_session

    adopted = adopt(model_of(tmp_path / "weights.onnx"), True, lambda _: None)
    assert not {one.op_type for one in adopted.graph.node} & {"QuantizeLinear", "DequantizeLinear"}
    images = pictures(4)
    found = open_session(adopted.SerializeToString()).run(["logits"], {"image": images})[0]
    assert decibels(as_it_came(tmp_path / "weights.onnx", normalised(images)), found) > 80


@pytest.mark.parametrize("softmax", [False, True])
def test_a_network_that_ends_in_integers_is_compared_in_integers(softmax: bool, tmp_path: Path) -> None:
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), 0.01)
    if softmax:
        nodes.append(node("Softmax", ["output"], ["shares"]))
    last = rounded("shares" if softmax else "output", "end", 1 / 255 if softmax else 0.1, 0, constants)[0]
    last.output[0] = "integers"
    nodes.append(last)
    whole = model(nodes, constants)
    kind = helper.make_tensor_value_info("integers", TensorProto.UINT8, ["N", 10])
    whole.graph.output[0].CopyFrom(kind)
    onnx.save(whole, tmp_path / "net.onnx")
    images = pictures(4)
    network = read(tmp_path / "net.onnx")
    logits = in_integers(network, images, tmp_path)
    expected = as_it_came(tmp_path / "net.onnx", normalised(images))
    found = np.stack([network.ended(one, 10) for one in logits])
    assert np.abs(found - expected).max() <= 1
    assert expected.max() > 1
