"""Transposed convolutions compute the same when they are written as convolutions and DepthToSpace."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from pipeline.models.foreign.normal_form.transposed import write_transposed_as_convolutions
from tests.pipeline.models.foreign.networks import export

SIDE = 32


def computed(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {"input": x})[0]
    return found


def rewritten(network: nn.Module, folder: Path) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A network of 3 x 32 x 32 pixels, as torch exports it and with convolutions."""
    before = onnx.load(export(network.eval(), folder / "net.onnx"))
    after = onnx.ModelProto()
    after.CopyFrom(before)
    write_transposed_as_convolutions(after)
    onnx.checker.check_model(after, full_check=True)
    return before, after


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def same(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)
    expected = computed(before, x)
    np.testing.assert_allclose(computed(after, x), expected, atol=1e-5 * np.abs(expected).max() + 1e-6)


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    kernel=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    stride=st.integers(1, 4),
    pad=st.integers(0, 3),
    more=st.integers(0, 2),
    groups=st.sampled_from([1, 3]),
    bias=st.booleans(),
)
def test_of_any_kernel_stride_and_padding(
    kernel: tuple[int, int],
    stride: int,
    pad: int,
    more: int,
    groups: int,
    bias: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    torch.manual_seed(0)
    pad, more = min(pad, min(kernel) - 1), min(more, stride - 1)
    layer = nn.ConvTranspose2d(3, 6, kernel, stride, pad, more, groups, bias)
    before, after = rewritten(layer, tmp_path_factory.mktemp("transposed"))
    assert "ConvTranspose" not in operators(after)
    same(before, after)


def test_a_norm_and_the_bounds_behind_it_are_done_before_pixels_are_moved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    norm.running_mean, norm.running_var = torch.randn(4), torch.rand(4) + 0.5
    network = nn.Sequential(nn.ConvTranspose2d(3, 4, 4, 2, 1), norm, nn.ReLU6(), nn.Conv2d(4, 2, 1))
    before, after = rewritten(network, tmp_path)
    kept = [kind for kind in operators(after) if kind not in ("Constant", "Identity")]
    assert kept == ["Conv", "Clip", "DepthToSpace", "Conv"]
    same(before, after)


def test_what_another_layer_reads_too_stays(tmp_path: Path) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(3, 4, 2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.up(x)
            return torch.relu(y) + y

    before, after = rewritten(Both(), tmp_path)
    assert operators(after)[-2:] == ["Relu", "Add"]
    same(before, after)


LEFT = [nn.ConvTranspose2d(3, 4, 3, (2, 1)), nn.ConvTranspose2d(3, 4, 3, dilation=2)]


@pytest.mark.parametrize("layer", LEFT, ids=["strides that differ", "dilation"])
def test_transposed_convolutions_of_other_forms_are_left_alone(layer: nn.Module, tmp_path: Path) -> None:
    _, after = rewritten(layer, tmp_path)
    assert "ConvTranspose" in operators(after)
