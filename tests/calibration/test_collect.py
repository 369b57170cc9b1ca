from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration.collect import collect
from calibration.errors import ImagesError, ModelError
from calibration.onnx_graph import tensor_proto
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported, TinyResNet, export
from tests.exact_session import run_exactly

ASYM = QuantRecipe(Scheme.ASYM)


def test_ranges_are_the_extremes_that_onnxruntime_computes(exported: Exported) -> None:
    images = pictures(24, exported.image_shape)
    ranges = collect(exported.path, [images[:7], images[7:]], ASYM)
    model = onnx.load(exported.path)
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in ranges.tensors
    )
    for name, found in ranges.tensors.items():
        values = run_exactly(model, images, name)
        assert found.low == pytest.approx(min(0.0, values.min()), abs=1e-5)
        assert found.high == pytest.approx(values.max(), rel=1e-5)


def test_rectified_tensors_start_at_zero_and_downsampling_convolutions_do_not(exported: Exported) -> None:
    ranges = collect(exported.path, [pictures(8, exported.image_shape)], ASYM)
    for name, found in ranges.tensors.items():
        assert (found.low < 0) == ("projection" in name)


def test_the_result_does_not_depend_on_the_batches(exported: Exported) -> None:
    images = pictures(12, exported.image_shape)
    whole = collect(exported.path, [images], ASYM)
    single = collect(exported.path, (image[None] for image in images), ASYM)
    assert whole.images == single.images == 12
    for name, found in whole.tensors.items():
        assert found.high == pytest.approx(single.tensors[name].high, rel=1e-6)


def test_a_fixed_batch_size_takes_any_number_of_images(tmp_path: Path) -> None:
    network = TinyResNet()
    fixed = export(network, tmp_path / "fixed.onnx", batch=4).path
    dynamic = export(network, tmp_path / "dynamic.onnx").path
    images = pictures(6, (16, 16, 3))
    a, b = collect(fixed, [images], ASYM), collect(dynamic, [images], ASYM)
    assert [r.high for r in a.tensors.values()] == pytest.approx(
        [r.high for r in b.tensors.values()], rel=1e-6
    )


def test_progress_counts_the_images(rgb_model: Path) -> None:
    seen: list[int] = []
    images = pictures(5, (16, 16, 3))
    collect(rgb_model, [images[:2], images[2:]], ASYM, seen.append)
    assert seen == [2, 3]


def test_an_empty_calibration_set_is_refused(rgb_model: Path) -> None:
    with pytest.raises(ImagesError, match="calibration set is empty"):
        collect(rgb_model, [], ASYM)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2, 16, 16, 1), np.uint8),
        ((2, 3, 16, 16), np.uint8),
        ((16, 16, 3), np.uint8),
        ((2, 16, 16, 3), np.float32),
    ],
)
def test_images_that_do_not_fit_are_refused(rgb_model: Path, shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(ImagesError, match=r"the model takes uint8 Nx16x16x3"):
        collect(rgb_model, [np.zeros(shape, dtype)], ASYM)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_values_that_are_not_finite_are_refused_with_their_tensor(
    tmp_path: Path, rgb_model: Path, bad: float
) -> None:
    model = onnx.load(rgb_model)
    bias = next(i for i in model.graph.initializer if i.name == "blocks.1.conv1.bias")
    bias.CopyFrom(tensor_proto(bias.name, np.full(bias.dims, bad, np.float32)))
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(ImagesError, match=r"not finite in '/blocks/blocks.1"):
        collect(tmp_path / "bad.onnx", [pictures(2, (16, 16, 3))], ASYM)


def test_a_model_without_an_image_input_is_refused(tmp_path: Path, rgb_model: Path) -> None:
    model = onnx.load(rgb_model)
    model.graph.input[0].name = "pixels"
    model.graph.node[0].input[0] = "pixels"
    onnx.save(model, tmp_path / "pixels.onnx")
    with pytest.raises(ModelError, match=r"inputs are: pixels. It needs exactly one, 'image'"):
        collect(tmp_path / "pixels.onnx", [pictures(2, (16, 16, 3))], ASYM)


@pytest.mark.parametrize("content", [b"not a model", None])
def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as an ONNX model"):
        collect(tmp_path / "model.onnx", [pictures(2, (16, 16, 3))], ASYM)


def test_weights_that_are_copies_of_others_are_constants(tmp_path: Path, rgb_model: Path) -> None:
    model = onnx.load(rgb_model)
    conv = next(n for n in model.graph.node if n.op_type == "Conv" and "conv1" in n.name)
    model.graph.node.insert(0, onnx.helper.make_node("Identity", [conv.input[2]], ["copy"], "copy"))
    conv.input[2] = "copy"
    onnx.save(model, tmp_path / "copy.onnx")
    images = [pictures(4, (16, 16, 3))]
    assert collect(tmp_path / "copy.onnx", images, ASYM).tensors == collect(rgb_model, images, ASYM).tensors


def test_an_operator_that_onnxruntime_cannot_compute_is_refused(tmp_path: Path, rgb_model: Path) -> None:
    """It raises NotImplemented then, and Fail for other graphs; the two have no base class in common."""
    model = onnx.load(rgb_model)
    (output,) = model.graph.output
    floats, narrow = onnx.TensorProto.FLOAT, onnx.TensorProto.BFLOAT16
    model.graph.node[-1].output[0] = "before"
    model.graph.node.extend(
        [
            onnx.helper.make_node("Cast", ["before"], ["narrow"], "narrow", to=narrow),
            onnx.helper.make_node("Softplus", ["narrow"], ["soft"], "soft"),
            onnx.helper.make_node("Cast", ["soft"], [output.name], "wide", to=floats),
        ]
    )
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="onnxruntime cannot load the model"):
        collect(tmp_path / "model.onnx", [pictures(2, (16, 16, 3))], ASYM)
