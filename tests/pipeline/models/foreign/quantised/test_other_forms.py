"""Forms of other tools, written by hand as they write them, against onnxruntime on the same file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from calibration.scheme import Scheme
from pipeline.models.foreign.quantised.quantised_file import is_quantised_file
from targets.runtime.exact.session import AS_WRITTEN
from tests.pipeline.models.foreign.quantised.forms import (
    Form,
    a_norm_behind_a_layer,
    a_scale_for_each_channel_of_a_depthwise_layer,
    a_transposed_matrix_and_a_bias_behind,
    a_zero_point_for_each_channel,
    fewer_bits_and_narrow_ranges,
    floats_that_lie_on_a_grid,
    grouped_with_wide_weights,
    integers,
    integers_that_are_moved,
    node,
    one_convolution,
    rounding_behind_a_concat,
    the_lowest_weight,
    uint8_weights,
    uint8_weights_from_zero_on,
    uint8_weights_that_are_int8,
    values_that_stay_on_their_grid,
    weights_that_are_rounded_in_the_graph,
)
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
    fewer_bits_and_narrow_ranges,
    floats_that_lie_on_a_grid,
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
    of_pixels = 5 if form is fewer_bits_and_narrow_ranges else 4  # their normalisation, and a Clip
    assert form in IN_FLOAT or islands == [f"Cast 'image_cast' and {of_pixels} more"]


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


def test_weights_off_a_grid_stay_in_float(tmp_path: Path) -> None:
    """One weight between two steps is enough: rounding it would make another network."""
    nodes, constants = floats_that_lie_on_a_grid()
    constants["w_dq"][3, 1, 1, 1] += 0.002
    onnx.save(model(nodes, constants), tmp_path / "theirs.onnx")
    written = read(tmp_path / "theirs.onnx").quantised(Scheme.ASYM)
    assert written.in_float == ("conv",)
