"""The network behind edgec's normalisation is the user's: with its own input it gives the same logits."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from torch import nn

from calibration.errors import ModelError
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.original import Original
from pipeline.models.foreign.rewrite import adopt
from targets.peers.behind_pixels import write_behind_pixels
from targets.peers.preparation import open_engine as open_preparation
from targets.peers.prepared_input import PreparedNetwork, open_engine
from targets.reference import ReferenceTarget
from tests.pipeline.models.foreign.mobile_networks import MobileNetLike
from tests.pipeline.models.foreign.networks import export, make, nhwc_network, pixels
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save

USUAL = Description(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@pytest.mark.parametrize("dynamic_batch", [True, False])
def test_the_cut_network_gives_the_logits_of_the_whole_one(dynamic_batch: bool, tmp_path: Path) -> None:
    source = described(export(make(MobileNetLike), tmp_path / "net.onnx"), USUAL)
    model = tmp_path / "model.onnx"
    onnx.save(adopt(source, dynamic_batch, lambda _: None), model)
    cut = write_behind_pixels(model, tmp_path / "cut.onnx")
    assert {node.op_type for node in onnx.load(cut.file).graph.node}.isdisjoint({"Cast", "Sub", "Transpose"})
    images = pixels()
    with ReferenceTarget().open(model) as whole, open_engine(cut.save(tmp_path / "cut.json")) as runner:
        found = runner.infer(runner.prepare(images))
        np.testing.assert_allclose(found, whole.infer(images), rtol=1e-4, atol=1e-5)


def test_a_normalisation_in_front_of_the_transpose_is_taken_off_too(tmp_path: Path) -> None:
    """Gray networks of ours have it there."""
    from pipeline.models.resnet import FromPixels
    from pipeline.stages.export import write_onnx

    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    model = tmp_path / "model.onnx"
    write_onnx(FromPixels(network, (0.3,), (0.4,)).eval(), (32, 32, 1), True, model)
    cut = write_behind_pixels(model, tmp_path / "cut.onnx")
    images = pixels()[:, :, :, :1]
    with ReferenceTarget().open(model) as whole, open_engine(cut.save(tmp_path / "cut.json")) as runner:
        np.testing.assert_allclose(
            runner.infer(runner.prepare(images)), whole.infer(images), rtol=1e-4, atol=1e-5
        )


def test_a_file_that_takes_pixels_gets_them_as_they_are(tmp_path: Path) -> None:
    source = described(nhwc_network(tmp_path / "net.onnx"), Description(layout="NHWC"))
    network = PreparedNetwork(source.path, "NHWC", (9.0,) * 3, (9.0,) * 3)
    with open_engine(network.save(tmp_path / "net.json")) as runner:
        inputs = runner.prepare(pixels())
        told = np.stack([Original(source).infer(image) for image in pixels()])
        np.testing.assert_array_equal(runner.infer(inputs), told)


def test_preparing_is_timed_by_a_runner_of_its_own(tmp_path: Path) -> None:
    path = export(make(MobileNetLike), tmp_path / "net.onnx")
    network = PreparedNetwork(path, "NCHW", (0.5, 1.0, 2.0), (1.0, 2.0, 3.0))
    scale, offset = (np.array(values, np.float32) for values in (network.scale, network.offset))
    expected = pixels().astype(np.float32) * scale + offset
    with open_preparation(network.save(tmp_path / "net.json")) as runner:
        found = runner.infer(pixels())
        assert isinstance(found, list)
        np.testing.assert_allclose(np.concatenate(found), expected.transpose(0, 3, 1, 2), rtol=1e-6)
    in_nhwc = PreparedNetwork(path, "NHWC", network.scale, network.offset)
    found = np.asarray(in_nhwc.prepared(pixels(), floats=True), np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_what_does_not_begin_with_a_normalisation_is_refused(tmp_path: Path) -> None:
    source = described(export(make(MobileNetLike), tmp_path / "net.onnx"), USUAL)
    model = adopt(source, True, lambda _: None)
    next(node for node in model.graph.node if node.op_type == "Sub").op_type = "Add"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="not normalised as edgec does it"):
        write_behind_pixels(tmp_path / "model.onnx", tmp_path / "cut.onnx")


@pytest.mark.parametrize(
    ("element", "images"), [(TensorProto.FLOAT16, "N"), (TensorProto.FLOAT, 3), (TensorProto.FLOAT, 1)]
)
def test_half_precision_and_a_fixed_number_of_images_are_fed_as_they_want(
    element: int, images: int | str, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["y"]),
    ]
    weights = {"w": floats(4, 3, 3, 3).astype(helper.tensor_dtype_to_np_dtype(element))}
    made = save(graph(nodes, weights, shape=[images, 3, 32, 32], element=element), tmp_path)
    source = described(made, USUAL)
    std, mean = np.array(source.std), np.array(source.mean)
    network = PreparedNetwork(made, "NCHW", tuple(1 / (255 * std)), tuple(-mean / std))
    told = np.stack([Original(source).infer(image) for image in pixels()])
    with open_engine(network.save(tmp_path / "net.json")) as runner:
        found = runner.infer(runner.prepare(pixels()))
    np.testing.assert_allclose(found, told, rtol=1e-2, atol=1e-2 if images == "N" else 1e-5)
