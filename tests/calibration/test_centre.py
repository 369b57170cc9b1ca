from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from calibration.centre import first_activation, unpadded_activations
from calibration.errors import ImagesError
from calibration.left_out import left_out
from calibration.lint import lint
from calibration.metrics import closeness
from calibration.onnx_graph import OnnxGraph, attribute
from calibration.prepare_float import prepare
from calibration.produce import produce
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported, export
from tests.exact_session import run_exactly

RECIPE = QuantRecipe.parse("w8a8_sym_ctr")


class OnPixels(nn.Module):
    """Layers that read normalised pixels."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(((image.float() - 110) * (1 / 58)).permute(0, 3, 1, 2))
        return logits


@pytest.fixture
def centred(exported: Exported, tmp_path: Path) -> Path:
    prepare(exported.path, lambda: [pictures(16, exported.image_shape)], RECIPE, tmp_path / "centred.onnx")
    return tmp_path / "centred.onnx"


def test_a_centred_model_computes_the_same(exported: Exported, centred: Path) -> None:
    images = pictures(16, exported.image_shape, seed=1)
    expected = run_exactly(exported.path, images)
    np.testing.assert_allclose(run_exactly(centred, images), expected, atol=1e-5 * np.abs(expected).max())


def test_the_first_activation_reaches_as_far_below_zero_as_above(exported: Exported, centred: Path) -> None:
    model = onnx.load(centred)
    name = f"{first_activation(OnnxGraph.load(exported.path))}/centred"
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    values = run_exactly(model, pictures(16, exported.image_shape), name)
    assert values.max() == pytest.approx(-values.min(), rel=1e-5)


def test_no_convolution_behind_it_pads_by_itself(centred: Path) -> None:
    """Its own padding is zero, and the border had another value."""
    graph = OnnxGraph.load(centred)
    padded = [n.output[0] for n in graph.nodes if n.op_type == "Pad" and n.output[0].endswith("/border")]
    readers = [graph.nodes[edge.node] for name in padded for edge in graph.consumers(name)]
    assert readers
    assert all(node.op_type == "Conv" and not any(attribute(node, "pads", [0])) for node in readers)


@pytest.mark.parametrize("recipe", ["w8a8_sym_ctr", "w8a8_sym_mse_eq_ctr_pix_wmse_obq_bc"])
def test_it_quantises_into_a_graph_that_symmetric_engines_take(
    exported: Exported, tmp_path: Path, recipe: str
) -> None:
    images = pictures(16, exported.image_shape)
    made = produce(exported.path, lambda: [images], QuantRecipe.parse(recipe), tmp_path)
    assert lint(made.quantized, Scheme.SYM) == []
    close = closeness(run_exactly(exported.path, images), run_exactly(made.quantized, images))
    assert close.sqnr_db > 20


def test_centring_lowers_the_noise(exported: Exported, tmp_path: Path) -> None:
    images, fresh = pictures(64, exported.image_shape), pictures(64, exported.image_shape, seed=1)
    expected = run_exactly(exported.path, fresh)

    def noise(name: str) -> float:
        made = produce(exported.path, lambda: [images], QuantRecipe.parse(name), tmp_path)
        return float(((run_exactly(made.quantized, fresh) - expected) ** 2).sum())

    assert noise("w8a8_sym_ctr_pix_bc") < 0.95 * noise("w8a8_sym_pix_bc")


def test_an_activation_that_feeds_something_else_is_left_as_it_is(rgb_model: Path, tmp_path: Path) -> None:
    model = onnx.load(rgb_model)
    name = first_activation(OnnxGraph(model))
    model.graph.node.append(onnx.helper.make_node("Sigmoid", [name], ["more"], "gate"))
    model.graph.output.append(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "gated.onnx")
    prepare(tmp_path / "gated.onnx", lambda: [pictures(2, (16, 16, 3))], RECIPE, tmp_path / "out.onnx")
    written = onnx.load(tmp_path / "out.onnx")
    assert [node.op_type for node in written.graph.node] == [node.op_type for node in model.graph.node]
    (note,) = left_out(written)
    assert note == "ctr: the first activation feeds gate (Sigmoid), which cannot take a shift back"


def test_without_images_there_is_no_centre(rgb_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="needs calibration images"):
        prepare(rgb_model, list, RECIPE, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A depthwise convolution with a ReLU6 between two others, the last of which reads it without padding."""
    torch.manual_seed(0)
    network = OnPixels(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, 1, 1, groups=16),
        nn.ReLU6(),
        nn.Conv2d(16, 8, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    return export(network, tmp_path_factory.mktemp("block") / "block.onnx").path


def test_what_only_unpadded_convolutions_read_is_centred_and_the_network_computes_the_same(
    block: Path, tmp_path: Path
) -> None:
    (tensor,) = unpadded_activations(OnnxGraph.load(block))
    images, fresh = pictures(16, (16, 16, 3)), pictures(16, (16, 16, 3), seed=1)
    prepare(block, lambda: [images], RECIPE, tmp_path / "centred.onnx")
    model = onnx.load(tmp_path / "centred.onnx")
    (note,) = left_out(model)
    assert note.startswith("ctr: the first convolution")
    assert [node.op_type for node in model.graph.node] == [n.op_type for n in onnx.load(block).graph.node]
    expected = run_exactly(block, fresh)
    np.testing.assert_allclose(run_exactly(model, fresh), expected, atol=1e-5 * np.abs(expected).max())
    name = f"{tensor}/centred"
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    values = run_exactly(model, images, name)
    assert values.max() == pytest.approx(-values.min(), rel=1e-3)


def test_centring_a_projection_s_input_lowers_the_noise(block: Path, tmp_path: Path) -> None:
    images, fresh = pictures(64, (16, 16, 3)), pictures(64, (16, 16, 3), seed=1)

    def sqnr_db(name: str) -> float:
        made = produce(block, lambda: [images], QuantRecipe.parse(name), tmp_path)
        assert lint(made.quantized, Scheme.SYM) == []
        return closeness(run_exactly(block, fresh), run_exactly(made.quantized, fresh)).sqnr_db

    assert sqnr_db("w8a8_sym_ctr_pix_obq_bc") > sqnr_db("w8a8_sym_pix_obq_bc") + 0.5
