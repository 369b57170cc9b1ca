"""Names decode into networks, and each parameter of the family does what its source describes."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import UsageError
from pipeline.models import resnet
from pipeline.models.architecture import Architecture
from pipeline.models.blocks import Block
from pipeline.models.zoo import KNOWN_MODELS, find_model


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet56-cifar10", Architecture("cifar", 56)),
        ("resnet50", Architecture("imagenet", 50)),
        ("resnet50-cifar10", Architecture("cifar", 50)),
        ("resnet50-v1", Architecture("imagenet", 50, stride_first=True)),
        ("resnet34-optionc", Architecture("imagenet", 34, "C")),
        ("plain20-cifar10", Architecture("cifar", 20, "none")),
        ("preresnet110-cifar10", Architecture("cifar", 110, preactivation=True)),
        ("wrn28-10-cifar10", Architecture("cifar", 26, "B", preactivation=True, width=10)),
        ("resnet50-wide2", Architecture("imagenet", 50, width=2)),
        ("resnet18-112px", Architecture("imagenet", 18)),
        ("resnet18-narrow2-grocery", Architecture("imagenet", 18, narrow=2)),
    ],
)
def test_a_name_says_how_the_network_is_built(name: str, expected: Architecture) -> None:
    assert find_model(name).architecture == expected


def test_a_name_says_which_images_the_network_is_for() -> None:
    assert find_model("resnet18-112px").input_shape == (112, 112, 3)
    assert find_model("resnet18-112px").preprocessing.resize == 128
    assert find_model("resnet20").input_shape == (32, 32, 3)
    assert find_model("resnet20").classes is None
    assert find_model("plain20-fashion").input_shape == (32, 32, 1)
    assert find_model("plain20-fashion").classes == 10
    assert find_model("resnet18-grocery").input_shape == (128, 128, 3)
    assert find_model("resnet18-grocery").classes == 43


def test_a_narrow_network_has_half_of_the_channels_everywhere() -> None:
    narrow, usual = (
        resnet.build(find_model(name).architecture, 3, 10).state_dict()
        for name in ("resnet18-narrow2", "resnet18")
    )
    assert narrow.keys() == usual.keys()
    for key, weights in narrow.items():
        if weights.ndim:
            assert weights.shape[0] == (10 if key.startswith("fc") else usual[key].shape[0] // 2), key


@pytest.mark.parametrize(
    "name", ["resnet", "resnet18x", "resnet18-", "resnet18-v1-v1", "a-resnet18", "resnet18-optiond"]
)
def test_other_text_is_not_a_model_name(name: str) -> None:
    with pytest.raises(UsageError, match="Unknown model"):
        find_model(name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet21", "6n\\+2 layers"),
        ("resnet34-v1", "only bottlenecks"),
        ("plain20-optionb", "no shortcut"),
        ("wrn17-2", "6n\\+2 layers"),
        ("resnet18-4px", "8 to 4096 pixels"),
        ("wrn16-0", "0 times as wide"),
    ],
)
def test_an_impossible_network_says_why(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=f"There is no model '{name}': .*{told}"):
        find_model(name)


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("resnet1202-cifar10", 10, 19.4e6),  # He et al. 2015, table 6
        ("wrn16-4-cifar10", 10, 2.7e6),  # Zagoruyko and Komodakis 2016, tables 4 and 5
        ("wrn28-10-cifar10", 10, 36.5e6),
        ("resnet50-wide2", 1000, 68_883_240),  # torchvision's list of models
        ("resnet101-wide2", 1000, 126_886_696),
        ("resnet50-v1", 1000, 25_557_032),  # as v1.5
    ],
)
def test_published_members_have_their_published_number_of_parameters(
    name: str, classes: int, parameters: float
) -> None:
    with torch.device("meta"):
        made = resnet.build(find_model(name).architecture, 3, classes)
    counted = sum(parameter.numel() for parameter in made.parameters())
    assert counted == pytest.approx(parameters, rel=0 if isinstance(parameters, int) else 0.02)


@pytest.mark.parametrize("model", [m for m in KNOWN_MODELS if "1202" not in m.name], ids=lambda m: m.name)
def test_the_number_of_convolutions_follows_from_the_parameters(model: object) -> None:
    architecture: Architecture = model.architecture  # type: ignore[attr-defined]
    with torch.device("meta"):
        made = resnet.build(architecture, 3, 10)
    assert sum(isinstance(m, nn.Conv2d) for m in made.modules()) == architecture.convolutions


def restless(architecture: Architecture) -> nn.Module:
    """A network whose norms are not the identity."""
    torch.manual_seed(0)
    made = resnet.build(architecture, 3, 10)
    for name, value in made.state_dict().items():
        if "running_mean" in name or (value.ndim == 1 and name.endswith("bias")):
            value.normal_(0, 0.1)
        elif "running_var" in name or (value.ndim == 1 and name.endswith("weight")):
            value.uniform_(0.5, 1.5)
    return made.eval()


def normed(w: Mapping[str, Tensor], x: Tensor, bn: str) -> Tensor:
    mean, variance, scale, shift = (
        w[f"{bn}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def convolved(w: Mapping[str, Tensor], x: Tensor, conv: str, stride: int = 1) -> Tensor:
    kernel = w[f"{conv}.weight"]
    return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)


def written_out(w: Mapping[str, Tensor], x: Tensor, a: Architecture) -> Tensor:
    """The CIFAR form in the words of the papers, without blocks as objects."""
    x = convolved(w, x, "conv1")
    x = x if a.preactivation else normed(w, x, "bn1").relu()
    for stage in (1, 2, 3):
        for block in range((a.depth - 2) // 6):
            p, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            if a.preactivation:
                first = normed(w, x, f"{p}.bn1").relu()
                y = normed(w, convolved(w, first, f"{p}.conv1", stride), f"{p}.bn2").relu()
                y = convolved(w, y, f"{p}.conv2")
                if f"{p}.downsample.0.weight" in w:
                    x = convolved(w, first, f"{p}.downsample.0", stride)
                x = x + y
                continue
            y = normed(w, convolved(w, x, f"{p}.conv1", stride), f"{p}.bn1").relu()
            y = normed(w, convolved(w, y, f"{p}.conv2"), f"{p}.bn2")
            if f"{p}.downsample.0.weight" in w:
                x = normed(w, convolved(w, x, f"{p}.downsample.0", stride), f"{p}.downsample.1")
            x = (y if a.connection == "none" else x + y).relu()
    x = normed(w, x, "bn1").relu() if a.preactivation else x
    return functional.linear(x.mean((2, 3)), w["linear.weight"], w["linear.bias"])


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("cifar", 14, "B"),
        Architecture("cifar", 14, "C"),
        Architecture("cifar", 14, "none"),
        Architecture("cifar", 14, "B", preactivation=True, width=2),
        Architecture("cifar", 14, "C", preactivation=True),
        Architecture("cifar", 14, "B", width=2),
    ],
    ids=str,
)
def test_variants_compute_what_their_papers_describe(architecture: Architecture) -> None:
    made, x = restless(architecture), torch.randn(2, 3, 16, 16)
    expected = written_out(made.state_dict(), x, architecture)
    torch.testing.assert_close(made(x), expected, rtol=1e-4, atol=1e-4)


def test_option_c_projects_in_every_block_and_b_only_where_dimensions_change() -> None:
    projections = {
        option: sum("downsample.0" in key for key in restless(Architecture("cifar", 20, option)).state_dict())
        for option in ("A", "B", "C", "none")
    }
    assert projections == {"A": 0, "B": 2, "C": 9, "none": 0}


def test_v1_strides_in_the_first_convolution_of_a_bottleneck() -> None:
    for stride_first in (False, True):
        made = resnet.build(Architecture("imagenet", 50, stride_first=stride_first), 3, 10)
        strides = [made.get_submodule(f"layer2.0.conv{n}").stride for n in (1, 2, 3)]
        assert strides == ([(2, 2), (1, 1), (1, 1)] if stride_first else [(1, 1), (2, 2), (1, 1)])


@pytest.mark.parametrize("option", ["A", "B", "C"])
def test_blocks_with_silent_branches_pass_their_shortcut_on(option: str) -> None:
    made = restless(Architecture("cifar", 14, option))  # type: ignore[arg-type]
    for block in made.modules():
        if isinstance(block, Block) and block.last_norm is not None:
            block.last_norm.bias.data.zero_()
    resnet.silence_branches(made)
    block = made.get_submodule("layer1.1")
    x = torch.rand(1, 16, 8, 8)
    assert isinstance(block, Block)
    assert block.downsample is not None
    torch.testing.assert_close(block(x), block.downsample(x).relu())


def test_a_plain_network_is_never_silenced() -> None:
    made = resnet.build(Architecture("cifar", 14, "none"), 3, 10)
    resnet.silence_branches(made)
    assert all(bool(m.weight.any()) for m in made.modules() if isinstance(m, nn.BatchNorm2d))
