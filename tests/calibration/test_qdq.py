from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from calibration.collect import collect
from calibration.errors import ImagesError, ModelError, RangesError
from calibration.fold_pixels import find_pixel_input
from calibration.lint import lint
from calibration.onnx_graph import OnnxGraph, attribute
from calibration.placement import place
from calibration.produce import produce
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import MEAN, Exported, TinyResNet, export
from tests.exact_session import run_exactly

SCHEMES = pytest.mark.parametrize("scheme", list(Scheme))


def _quantized(exported: Exported, scheme: Scheme, folder: Path) -> Path:
    recipe, output = QuantRecipe(scheme), folder / "model.int8.onnx"
    quantize(
        exported.path, collect(exported.path, [pictures(32, exported.image_shape)], recipe), recipe, output
    )
    return output


@SCHEMES
def test_the_result_runs_in_onnxruntime_and_is_close_to_the_float_model(
    exported: Exported, scheme: Scheme, tmp_path: Path
) -> None:
    images = pictures(64, exported.image_shape, seed=1)
    expected = run_exactly(exported.path, images)
    error = run_exactly(_quantized(exported, scheme, tmp_path), images) - expected
    assert 0 < (error**2).sum() < 10**-3.5 * (expected**2).sum()  # 35 dB


@SCHEMES
def test_the_same_input_gives_the_same_bytes(exported: Exported, scheme: Scheme, tmp_path: Path) -> None:
    first = _quantized(exported, scheme, tmp_path).read_bytes()
    assert _quantized(exported, scheme, tmp_path).read_bytes() == first


@SCHEMES
def test_the_result_passes_the_lint(exported: Exported, scheme: Scheme, tmp_path: Path) -> None:
    assert lint(_quantized(exported, scheme, tmp_path), scheme) == []


@SCHEMES
def test_biases_stay_float_and_weights_are_int8_per_output_channel(
    exported: Exported, scheme: Scheme, tmp_path: Path
) -> None:
    graph = OnnxGraph.load(_quantized(exported, scheme, tmp_path))
    layers = [
        n for n in graph.nodes if n.op_type == "Conv" or (n.op_type == "Gemm" and scheme is Scheme.ASYM)
    ]
    for node in layers:
        dequantize = graph.producer(node.input[1])
        assert dequantize is not None
        assert attribute(dequantize, "axis") == 0
        weight, scales = (graph.constant(name) for name in dequantize.input[:2])
        bias = graph.constant(node.input[2])
        assert weight is not None
        assert scales is not None
        assert bias is not None
        assert [v.dtype.name for v in (weight, scales, bias)] == ["int8", "float32", "float32"]
        assert len(weight) == len(scales) == len(bias)


@SCHEMES
def test_a_tensor_read_by_a_convolution_and_a_shortcut_is_quantised_once(
    exported: Exported, scheme: Scheme, tmp_path: Path
) -> None:
    graph = OnnxGraph.load(_quantized(exported, scheme, tmp_path))
    sources = Counter(n.input[0] for n in graph.nodes if n.op_type == "QuantizeLinear")
    assert set(sources.values()) == {1}


@SCHEMES
def test_data_movement_keeps_scale_and_zero_point(exported: Exported, scheme: Scheme) -> None:
    graph = OnnxGraph.load(exported.path)
    placement = place(graph, QuantRecipe(scheme))
    moved = {t: source for t, source in placement.tensors.items() if t != source}
    producers = {graph.producer(t).op_type for t in moved}  # type: ignore[union-attr]
    assert producers == ({"MaxPool"} if "projection" in exported.path.name else {"Pad"})
    assert set(moved) & set(placement.observed) == set()


def test_the_classifier_is_int8_for_cpus_and_float_for_tensorrt(exported: Exported) -> None:
    graph = OnnxGraph.load(exported.path)
    kinds = {s: {graph.nodes[i].op_type for i in place(graph, QuantRecipe(s)).layers} for s in Scheme}
    assert kinds == {Scheme.ASYM: {"Conv", "Gemm"}, Scheme.SYM: {"Conv"}}


def test_for_cpus_the_pixels_are_the_quantised_input(exported: Exported, tmp_path: Path) -> None:
    graph = OnnxGraph.load(_quantized(exported, Scheme.ASYM, tmp_path))
    assert not {"Cast", "Sub", "Mul"} & {n.op_type for n in graph.nodes if "image" in n.input}
    transpose, dequantize = graph.nodes[:2]
    assert (transpose.op_type, list(transpose.input), dequantize.op_type) == (
        "Transpose",
        ["image"],
        "DequantizeLinear",
    )
    scale, zero = (graph.constant(name) for name in dequantize.input[1:])
    assert scale is not None
    assert zero is not None
    channels = exported.image_shape[2]
    np.testing.assert_array_equal(scale, np.ones(channels, np.float32))
    np.testing.assert_array_equal(zero, np.array([124, 116, 104], np.uint8)[:channels])
    assert zero.tolist() == [round(255 * m) for m in MEAN[:channels]]


def test_folding_the_normalisation_is_exact_inside_and_half_a_grey_level_off_at_the_border(
    exported: Exported,
) -> None:
    graph = OnnxGraph.load(exported.path)
    pixels = find_pixel_input(graph, Scheme.ASYM)
    conv = graph.nodes[pixels.conv]
    weight, bias = (torch.from_numpy(np.array(graph.constant(name))) for name in conv.input[1:])
    images = torch.from_numpy(pictures(4, exported.image_shape)).permute(0, 3, 1, 2).double()
    mean, scale, zero = (
        torch.from_numpy(np.array(v)).view(-1, 1, 1) for v in (pixels.mean, pixels.scale, pixels.zero_point)
    )
    expected = torch.nn.functional.conv2d((images - mean) * scale, weight.double(), bias.double(), padding=1)
    folded = [torch.from_numpy(v).double() for v in pixels.fold(weight.numpy(), bias.numpy())]
    found = torch.nn.functional.conv2d(images - zero, folded[0], folded[1], padding=1)
    error = (found - expected).abs()
    assert error[:, :, 1:-1, 1:-1].max() < 1e-5
    assert error.max() <= 0.5 * folded[0].abs().sum((1, 2, 3)).max()


def test_a_layer_whose_weights_are_stored_input_first_is_turned(tmp_path: Path, rgb_model: Path) -> None:
    model = onnx.load(rgb_model)
    gemm = next(n for n in model.graph.node if n.op_type == "Gemm")
    weight = next(i for i in model.graph.initializer if i.name == gemm.input[1])
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).T.copy(), weight.name))
    next(a for a in gemm.attribute if a.name == "transB").i = 0
    onnx.save(model, tmp_path / "turned.onnx")
    shape = (16, 16, 3)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    a = _quantized(Exported(rgb_model, shape), Scheme.ASYM, tmp_path / "a")
    b = _quantized(Exported(tmp_path / "turned.onnx", shape), Scheme.ASYM, tmp_path / "b")
    images = pictures(8, shape)
    np.testing.assert_array_equal(run_exactly(a, images), run_exactly(b, images))


def test_ranges_of_another_model_or_recipe_are_refused(tmp_path: Path, rgb_model: Path) -> None:
    recipe = QuantRecipe(Scheme.ASYM)
    ranges = collect(rgb_model, [pictures(2, (16, 16, 3))], recipe)
    output = tmp_path / "q.onnx"
    torch.manual_seed(1)
    other = export(TinyResNet(), tmp_path / "other.onnx").path
    with pytest.raises(RangesError, match="another model"):
        quantize(other, ranges, recipe, output)
    with pytest.raises(RangesError, match="recipe w8a8_asym, not w8a8_sym"):
        quantize(rgb_model, ranges, QuantRecipe(Scheme.SYM), output)
    with pytest.raises(RangesError, match="lack 6 of the model's tensors"):
        quantize(rgb_model, replace(ranges, tensors={}), recipe, output)
    assert not output.exists()


def test_a_model_with_another_front_is_refused_with_the_place(tmp_path: Path, rgb_model: Path) -> None:
    model = onnx.load(rgb_model)
    next(n for n in model.graph.node if n.op_type == "Sub").op_type = "Add"
    onnx.save(model, tmp_path / "front.onnx")
    with pytest.raises(ModelError, match="feeds Add; folding the normalisation"):
        collect(tmp_path / "front.onnx", [pictures(2, (16, 16, 3))], QuantRecipe(Scheme.ASYM))


def test_the_normalisation_is_found_before_and_behind_the_transpose(rgb_model: Path) -> None:
    """Exported networks of several channels have it behind; others may bring it in front."""
    model = onnx.load(rgb_model)
    before = find_pixel_input(OnnxGraph(model), Scheme.ASYM)
    cast, sub, mul, turn, *rest = model.graph.node
    assert [node.op_type for node in (cast, sub, mul, turn)] == ["Cast", "Sub", "Mul", "Transpose"]
    turn.input[0], sub.input[0] = cast.output[0], "nchw"
    mul.output[0], turn.output[0] = turn.output[0], "nchw"
    for constant in model.graph.initializer:
        if constant.name in (sub.input[1], mul.input[1]):
            values = numpy_helper.to_array(constant).reshape(-1, 1, 1)
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    graph = onnx.helper.make_graph(
        [cast, turn, sub, mul, *rest], "moved", model.graph.input, model.graph.output, model.graph.initializer
    )
    moved = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    behind = find_pixel_input(OnnxGraph(moved), Scheme.ASYM)
    assert np.array_equal(before.mean, behind.mean)
    assert np.array_equal(before.scale, behind.scale)
    assert (before.normalized, before.pads) == (behind.normalized, behind.pads)
    images = pictures(4, (16, 16, 3))
    assert np.array_equal(run_exactly(moved, images), run_exactly(rgb_model, images))


@pytest.mark.parametrize("name", ["w8a8_asym_mse_wmse_obq_bc", "w8a8_sym_mse_eq_pix_wmse_obq_bc"])
def test_corrections_pass_the_lint_and_reduce_the_error(
    exported: Exported, name: str, tmp_path: Path
) -> None:
    images, fresh = pictures(64, exported.image_shape), pictures(64, exported.image_shape, seed=1)
    expected = run_exactly(exported.path, fresh)

    def error(recipe: QuantRecipe) -> float:
        made = produce(exported.path, lambda: [images[:40], images[40:]], recipe, tmp_path)
        assert lint(made.quantized, recipe.scheme) == []
        return float(((run_exactly(made.quantized, fresh) - expected) ** 2).sum())

    recipe = QuantRecipe.parse(name)
    assert error(recipe) < error(QuantRecipe(recipe.scheme))


def test_lossless_pixels_under_w8a8_sym_are_exact(exported: Exported, tmp_path: Path) -> None:
    """The first convolution reads pixel - 128, and on the border each channel's mean - 128."""
    images = pictures(4, exported.image_shape)
    made = produce(exported.path, lambda: [images], QuantRecipe.parse("w8a8_sym_pix"), tmp_path)
    model = onnx.load(made.quantized)
    tensor = next(n for n in model.graph.node if n.op_type == "Conv").input[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    found = run_exactly(model, images, tensor)
    pixels = images.transpose(0, 3, 1, 2).astype(np.float32) - 128
    np.testing.assert_array_equal(found[:, :, 1:-1, 1:-1], pixels)
    border = np.array([124, 116, 104], np.float32)[: exported.image_shape[2]] - 128
    np.testing.assert_array_equal(found[:, :, 0, 0], np.broadcast_to(border, found.shape[:2]))


def test_a_recipe_that_needs_images_says_so(rgb_model: Path, tmp_path: Path) -> None:
    recipe = QuantRecipe.parse("w8a8_asym_bc")
    ranges = collect(rgb_model, [pictures(2, (16, 16, 3))], recipe)
    with pytest.raises(ImagesError, match="needs calibration images"):
        quantize(rgb_model, ranges, recipe, tmp_path / "q.onnx")
