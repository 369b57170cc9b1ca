"""An ONNX file from anywhere takes the project's form without changing what it says."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from calibration.collect import collect
from calibration.produce import produce
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe
from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.original import Original
from pipeline.models.foreign.rewrite import adopt
from pipeline.task import Task
from targets.base import CHECKS
from targets.reference import ReferenceTarget
from targets.registry import find_target
from targets.tensorrt import rtx
from tests.pipeline.models.foreign.networks import CLASSIFIERS, SEGMENTERS, export, make, nhwc_network, pixels
from tests.pipeline.models.foreign.plain_networks import VggLike

USUAL = Description(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def usual(name: str) -> Description:
    return USUAL.model_copy(update={"task": Task.SEGMENT}) if name in SEGMENTERS else USUAL


def adopted(path: Path, description: Description, folder: Path) -> Path:
    made = adopt(described(path, description), True, lambda _: None)
    onnx.save(made, folder / "model.onnx")
    return folder / "model.onnx"


def run(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    with ReferenceTarget().open(path) as runner:
        return runner.infer(images)


def expected(network: nn.Module, images: NDArray[np.uint8], description: Description) -> NDArray[np.float32]:
    mean, std = (torch.tensor(v)[:, None, None] for v in (description.mean, description.std))
    with torch.no_grad():
        answer: torch.Tensor = network((torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std)
    return answer.numpy()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_networks_of_other_families_keep_their_logits(name: str, tmp_path: Path) -> None:
    network = make(CLASSIFIERS[name])
    made = adopted(export(network, tmp_path / f"{name}.onnx"), USUAL, tmp_path)
    assert [node.op_type for node in onnx.load(made).graph.node][:4] == ["Cast", "Transpose", "Sub", "Mul"]
    np.testing.assert_allclose(run(made, pixels()), expected(network, pixels(), USUAL), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scheme", ["w8a8_asym", "w8a8_sym"])
@pytest.mark.parametrize("name", [*CLASSIFIERS, *SEGMENTERS])
def test_networks_of_other_families_are_quantised_for_reference(
    name: str, scheme: str, tmp_path: Path
) -> None:
    """Random weights: most of 64 answers agree, and the error is far below the signal."""
    source = export(make((CLASSIFIERS | SEGMENTERS)[name]), tmp_path / f"{name}.onnx")
    path = adopted(source, usual(name), tmp_path)
    recipe, images = QuantRecipe.parse(scheme), pixels(64)
    quantize(path, collect(path, [images], recipe), recipe, tmp_path / "int8.onnx")
    floats, integers = run(path, images), run(tmp_path / "int8.onnx", images)
    assert (floats != integers).any()
    assert 10 * np.log10((floats**2).sum() / ((floats - integers) ** 2).sum()) > 20
    assert (floats.argmax(1) == integers.argmax(1)).mean() > 0.9


@pytest.mark.parametrize(("opset", "batch"), [(11, "b"), (13, None), (17, None)])
def test_older_opsets_and_fixed_batches_become_the_same(
    opset: int, batch: str | None, tmp_path: Path
) -> None:
    network = make(VggLike)
    path = adopted(export(network, tmp_path / "net.onnx", opset, batch), USUAL, tmp_path)
    model = onnx.load(path)
    assert model.opset_import[0].version == 17
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    np.testing.assert_allclose(run(path, pixels()), expected(network, pixels(), USUAL), rtol=1e-3, atol=1e-4)


class Viewed(nn.Module):
    """Flattens with view, whose shape exporters compute in the graph, and ends in a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4 * 30 * 30, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv((x.contiguous() * 255 - 120) / 60)
        return torch.softmax(self.fc(y.view(y.size(0), -1)), 1)


class StandardisedConv(nn.Conv2d):
    """Weights of mean 0 and variance 1, by a batch norm in training mode (BiT, NFNet)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As a convolution does."""
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = torch.nn.functional.batch_norm(flat, None, None, training=True).reshape_as(self.weight)
        return torch.nn.functional.conv2d(x, weight, self.bias, self.stride, self.padding)


class Standardised(nn.Sequential):
    """A network of such convolutions."""

    def __init__(self) -> None:
        mean = nn.AdaptiveAvgPool2d(1)
        super().__init__(StandardisedConv(3, 16, 3, 2, 1), nn.ReLU(), mean, nn.Flatten(), nn.Linear(16, 10))


def test_weights_may_be_standardised_in_the_graph(tmp_path: Path) -> None:
    network = make(Standardised)
    made = adopted(export(network, tmp_path / "standardised.onnx"), USUAL, tmp_path)
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(made).graph.node}
    np.testing.assert_allclose(run(made, pixels()), expected(network, pixels(), USUAL), rtol=1e-4, atol=1e-4)


def test_computed_shapes_softmax_and_own_normalisation_are_taken_apart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Viewed().eval()
    told: list[str] = []
    source = described(export(network, tmp_path / "net.onnx"), Description())
    model = adopt(source, True, told.append)
    assert [node.op_type for node in model.graph.node] == [
        *("Cast", "Transpose", "Sub", "Mul"),
        *("Conv", "Flatten", "Gemm"),
    ]
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    assert constants["image_mean"].shape == (
        3,
        1,
        1,
    )  # each channel in one piece: what onnxruntime is fast at
    np.testing.assert_allclose(constants["image_mean"], 120, rtol=1e-5)
    np.testing.assert_allclose(constants["image_scale"], 1 / 60, rtol=1e-5)
    assert "the last Softmax is left out" in told[0]
    onnx.save(model, tmp_path / "model.onnx")
    logits = run(tmp_path / "model.onnx", pixels())
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    plain = Description(mean=(0.0,) * 3, std=(1.0,) * 3)
    np.testing.assert_allclose(shares, expected(network, pixels(), plain), rtol=1e-3, atol=1e-5)


def test_pixels_in_nhwc_need_no_mean_and_std(tmp_path: Path) -> None:
    source = described(nhwc_network(tmp_path / "net.onnx"), Description(layout="NHWC"))
    onnx.save(adopt(source, True, lambda _: None), tmp_path / "model.onnx")
    original = Original(source)
    told = np.stack([original.infer(image) for image in pixels()])
    np.testing.assert_allclose(run(tmp_path / "model.onnx", pixels()), told, rtol=1e-4, atol=1e-4)
    mean = next(i for i in onnx.load(tmp_path / "model.onnx").graph.initializer if i.name == "image_mean")
    np.testing.assert_allclose(numpy_helper.to_array(mean).ravel(), [127.5] * 3, rtol=1e-5)


PIXELS = ("Cast", "Transpose", "Sub", "Mul")
"""What model.onnx does that the user's file leaves to its caller."""


def as_optimised(path: Path, scratch: Path) -> onnx.ModelProto:
    """Return the graph that onnxruntime runs, apart from what it does for the processor at hand."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(scratch / f"{path.stem}.optimised.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


@pytest.mark.parametrize("name", [*CLASSIFIERS, *SEGMENTERS, "nhwc"])
def test_the_float_baseline_is_not_slower_by_its_structure_than_the_users_graph(
    name: str, tmp_path: Path
) -> None:
    """No operator is added but those on pixels, and operators on channels have the channels in one piece.

    A value per channel is broadcast ten times slower if the channels are last.
    """
    source, description = tmp_path / "net.onnx", usual(name)
    if name == "nhwc":
        nhwc_network(source)
        description = Description(layout="NHWC")
    else:
        export(make((CLASSIFIERS | SEGMENTERS)[name]), source)
    made = as_optimised(adopted(source, description, tmp_path), tmp_path)
    ours, users = (
        Counter(node.op_type for node in one.graph.node) for one in (made, as_optimised(source, tmp_path))
    )
    for operator in ("Conv", "DepthToSpace"):  # how a transposed convolution is written
        users[operator] += users["ConvTranspose"]
    users["Split"] += users["Slice"]  # how a shuffled network's halves are written
    assert ours - users <= Counter(PIXELS)
    channels_last = {"image"}
    for node in made.graph.node:
        if not channels_last.isdisjoint(node.input):
            assert node.op_type in ("Cast", "Transpose")
            channels_last |= set(node.output) if node.op_type == "Cast" else set()


def test_outputs_of_another_shape_than_the_task_needs_are_refused(tmp_path: Path) -> None:
    of_pixels = export(make(SEGMENTERS["unet"]), tmp_path / "unet.onnx")
    of_images = export(make(VggLike), tmp_path / "vgg.onnx")
    one = export(nn.Conv2d(3, 1, 1), tmp_path / "one.onnx")
    for path, task, told in (
        (of_pixels, Task.CLASSIFY, r'say task = "segment" in .*unet\.toml'),
        (of_images, Task.SEGMENT, r'leave task = "segment" out of .*vgg\.toml'),
        (one, Task.SEGMENT, "needs two classes or more"),
    ):
        source = described(path, USUAL.model_copy(update={"task": task}))
        with pytest.raises(CheckpointError, match=told):
            adopt(source, True, lambda _: None)


def test_a_size_that_the_graph_does_not_have_is_refused(tmp_path: Path) -> None:
    source = described(export(make(VggLike), tmp_path / "net.onnx"), Description(size=(64, 64), channels=3))
    with pytest.raises(CheckpointError, match=r"is float \[\?, 3, 32, 32\]; .* height 64, width 64"):
        adopt(source, True, lambda _: None)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CLASSIFIERS, *SEGMENTERS])
def test_networks_of_other_families_become_files_for_a_jetson(name: str, tmp_path: Path) -> None:
    """TensorRT-RTX compiles all of them where it is installed; without a device nothing else can be said."""
    source = export(make((CLASSIFIERS | SEGMENTERS)[name]), tmp_path / f"{name}.onnx")
    path = adopted(source, usual(name), tmp_path)
    target = find_target("jetson")
    int8 = produce(path, lambda: [pixels(16)], target.recipe, tmp_path).quantized
    target.build(int8, tmp_path / target.engine_name, path)
    checks = json.loads((tmp_path / CHECKS).read_text())
    assert checks[0]["outcome"] == "passed"
    assert {check["outcome"] for check in checks[1:-1]} == {
        "skipped" if rtx.installed() is None else "passed"
    }
    floats = run(path, pixels())
    with target.open(tmp_path / target.engine_name) as runner:
        integers = runner.infer(pixels())
    assert 10 * np.log10((floats**2).sum() / ((floats - integers) ** 2).sum()) > 20
