"""The networks have the published shapes, keys and arithmetic."""

from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models import resnet
from pipeline.models.architecture import Architecture

TORCHVISION_PARAMETERS = {  # https://docs.pytorch.org/vision/stable/models.html
    18: 11_689_512,
    34: 21_797_672,
    50: 25_557_032,
    101: 44_549_160,
    152: 60_192_808,
}
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def network(family: str, depth: int, channels: int = 3, classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    made = resnet.build(Architecture(family, depth), channels, classes)  # type: ignore[arg-type]
    for name, value in made.state_dict().items():  # statistics and scales that matter
        if "running_mean" in name or name.endswith("bias"):
            value.normal_(0, 0.1)
        elif "running_var" in name or (".bn" in name and name.endswith("weight")):
            value.uniform_(0.5, 1.5)
    return made.eval()


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("depth", "expected"), TORCHVISION_PARAMETERS.items())
def test_imagenet_networks_have_torchvisions_number_of_parameters(depth: int, expected: int) -> None:
    with torch.device("meta"):
        assert parameters(resnet.build(Architecture("imagenet", depth), 3, 1000)) == expected


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)  # He et al. 2015, table 6
def test_cifar_networks_have_the_papers_number_of_parameters(depth: int, millions: float) -> None:
    with torch.device("meta"):
        counted = parameters(resnet.build(Architecture("cifar", depth), 3, 10)) / 1e6
    assert counted == pytest.approx(millions, abs=0.05 if millions > 1 else 0.008)


def torchvision_keys(depth: int) -> Iterator[str]:
    """Write out the keys of torchvision's checkpoints."""
    convolutions = 2 if depth < 50 else 3
    yield "conv1.weight"
    yield from (f"bn1.{part}" for part in NORM)
    for stage, blocks in enumerate(STAGES[depth], start=1):
        for block in range(blocks):
            prefix = f"layer{stage}.{block}"
            for n in range(1, convolutions + 1):
                yield f"{prefix}.conv{n}.weight"
                yield from (f"{prefix}.bn{n}.{part}" for part in NORM)
            if block == 0 and (stage > 1 or depth >= 50):
                yield f"{prefix}.downsample.0.weight"
                yield from (f"{prefix}.downsample.1.{part}" for part in NORM)
    yield from ("fc.weight", "fc.bias")


@pytest.mark.parametrize("depth", STAGES)
def test_imagenet_networks_have_torchvisions_keys_in_its_order(depth: int) -> None:
    with torch.device("meta"):
        assert list(resnet.build(Architecture("imagenet", depth), 3, 1000).state_dict()) == list(
            torchvision_keys(depth)
        )


def test_cifar_networks_have_the_keys_of_published_weights() -> None:
    with torch.device("meta"):
        keys = set(resnet.build(Architecture("cifar", 20), 3, 10).state_dict())
    expected = {"conv1.weight", "linear.weight", "linear.bias"} | {f"bn1.{part}" for part in NORM}
    for stage in (1, 2, 3):
        for block in (0, 1, 2):
            for n in (1, 2):
                expected.add(f"layer{stage}.{block}.conv{n}.weight")
                expected |= {f"layer{stage}.{block}.bn{n}.{part}" for part in NORM}
    assert keys == expected


@pytest.mark.parametrize("depth", [0, 2, 19, 21])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="6n"):
        resnet.build(Architecture("cifar", depth), 3, 10)


def test_an_unpublished_imagenet_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="18, 34, 50, 101, 152 layers, not 20"):
        resnet.build(Architecture("imagenet", 20), 3, 10)


def test_resnet20_computes_what_the_paper_describes() -> None:
    made, x = network("cifar", 20, channels=1), torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(made(x), written_out_cifar(made.state_dict(), x))


@pytest.mark.parametrize("depth", [18, 50])
def test_imagenet_networks_compute_what_the_paper_describes(depth: int) -> None:
    made, x = network("imagenet", depth), torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(
        made(x), written_out_imagenet(made.state_dict(), x, depth), rtol=1e-4, atol=1e-4
    )


def test_pixels_are_normalised_as_mean_and_std_say() -> None:
    made = network("cifar", 8)
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    scaled = pixels.permute(0, 3, 1, 2) / 255
    expected = made((scaled - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])
    torch.testing.assert_close(resnet.FromPixels(made, mean, std)(pixels), expected, rtol=1e-4, atol=1e-4)


def convolved(w: Mapping[str, Tensor], x: Tensor, conv: str, bn: str, stride: int = 1) -> Tensor:
    kernel = w[f"{conv}.weight"]
    y = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    mean, variance, scale, shift = (
        w[f"{bn}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (y - mean) / (variance + 1e-5).sqrt() * scale + shift


def written_out_cifar(w: Mapping[str, Tensor], x: Tensor) -> Tensor:
    x = convolved(w, x, "conv1", "bn1").relu()
    for stage in (1, 2, 3):
        for block in (0, 1, 2):
            stride = 2 if stage > 1 and block == 0 else 1
            prefix = f"layer{stage}.{block}"
            y = convolved(w, x, f"{prefix}.conv1", f"{prefix}.bn1", stride).relu()
            y = convolved(w, y, f"{prefix}.conv2", f"{prefix}.bn2")
            if stride == 2:  # option A: subsample, and zeros for the new channels on both sides
                zeros = torch.zeros_like(x[:, : x.shape[1] // 2, ::2, ::2])
                x = torch.cat([zeros, x[:, :, ::2, ::2], zeros], dim=1)
            x = (x + y).relu()
    return functional.linear(x.mean((2, 3)), w["linear.weight"], w["linear.bias"])


def written_out_imagenet(w: Mapping[str, Tensor], x: Tensor, depth: int) -> Tensor:
    x = functional.max_pool2d(convolved(w, x, "conv1", "bn1", 2).relu(), 3, stride=2, padding=1)
    last, strided = (2, 1) if depth < 50 else (3, 2)  # v1.5: a bottleneck's stride is in its 3x3 convolution
    for stage, blocks in enumerate(STAGES[depth], start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            prefix, y = f"layer{stage}.{block}", x
            for n in range(1, last + 1):
                y = convolved(w, y, f"{prefix}.conv{n}", f"{prefix}.bn{n}", stride if n == strided else 1)
                y = y.relu() if n < last else y
            if f"{prefix}.downsample.0.weight" in w:
                x = convolved(w, x, f"{prefix}.downsample.0", f"{prefix}.downsample.1", stride)
            x = (x + y).relu()
    return functional.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"])
