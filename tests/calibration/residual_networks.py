"""Small residual networks with all that the real ones have, exported with the normalisation inside."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class ShortcutBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: identity, slice and pad (option A) or a 1x1 convolution (B)."""

    def __init__(self, channels: int, out: int, stride: int, projection: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1)
        self.projection = nn.Conv2d(channels, out, 1, stride) if projection and stride > 1 else None
        self.grow = (out - channels) // 2

    def forward(self, x: Tensor) -> Tensor:
        main = self.conv2(relu(self.conv1(x)))
        if self.projection is not None:
            return relu(main + self.projection(x))
        if self.grow:
            x = pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.grow, self.grow))
        return relu(main + x)


class TinyResNet(nn.Module):
    """NHWC pixels to logits, like ResNet-20 (projection=False) or ResNet-18 (True; with max pooling)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int = 3, width: int = 8, projection: bool = False) -> None:
        super().__init__()
        mean, std = torch.tensor(MEAN[:channels]), torch.tensor(STD[:channels])
        self.register_buffer("mean", 255 * mean)
        self.register_buffer("scale", 1 / (255 * std))
        self.stem = nn.Conv2d(channels, width, 3, 1, 1)
        self.pool = nn.MaxPool2d(3, 2, 1) if projection else nn.Identity()
        self.blocks = nn.Sequential(
            ShortcutBlock(width, width, 1, projection), ShortcutBlock(width, 2 * width, 2, projection)
        )
        self.head = nn.Linear(2 * width, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = ((image.float() - self.mean) * self.scale).permute(0, 3, 1, 2)
        x = self.blocks(self.pool(relu(self.stem(x))))
        logits: Tensor = self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))
        return logits


class Separable(nn.Module):
    """A depthwise, dilated and strided convolution, and one in two groups."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=2, dilation=2, groups=8)
        self.grouped = nn.Conv2d(8, 6, (3, 1), padding=(1, 0), groups=2)
        self.linear = nn.Linear(6, 4)

    def layers(self, image: Tensor) -> dict[str, tuple[nn.Conv2d, Tensor]]:
        """Each convolution with what it reads."""
        x = ((image.float() - 120) * 0.02).permute(0, 3, 1, 2)
        y = self.stem(x).relu()
        return {
            "stem": (self.stem, x),
            "depthwise": (self.depthwise, y),
            "grouped": (self.grouped, self.depthwise(y).relu()),
        }

    def forward(self, image: Tensor) -> Tensor:
        last, x = self.layers(image)["grouped"]
        logits: Tensor = self.linear(last(x).relu().mean((2, 3)))
        return logits


class ChannelGate(nn.Module):
    """Squeeze-and-excite with one of its two usual gates."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(self.excite(relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return y


class Varied(nn.Module):
    """What MobileNets, EfficientNets, Inceptions, ShuffleNets and decoders are made of, in one network."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.register_buffer("mean", 255 * torch.tensor(MEAN))
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, 1, 1), nn.Hardswish())
        self.depthwise = nn.Sequential(nn.Conv2d(12, 12, 3, 1, 1, groups=12), nn.ReLU6())
        self.gated = ChannelGate(12, nn.Hardsigmoid())
        self.linear = nn.Conv2d(12, 12, 1)
        self.expand = nn.Sequential(nn.Conv2d(12, 24, 1), nn.ReLU())
        self.wide = nn.Sequential(nn.Conv2d(24, 24, 3, 2, 1, groups=24), nn.PReLU(24))
        self.grouped = nn.Sequential(nn.Conv2d(24, 16, 3, 1, 1, groups=2), nn.LeakyReLU(0.1))
        self.left = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.SiLU(), ChannelGate(8, nn.Sigmoid()))
        self.right = nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.Conv2d(8, 8, 1), nn.GELU())
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.skip = nn.Conv2d(12, 8, 1)
        self.hidden, self.head = nn.Linear(8, 16), nn.Linear(16, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(((image.float() - self.mean) * (1 / 58)).permute(0, 3, 1, 2))
        early = self.linear(self.gated(self.depthwise(x))) + x
        a, b = self.grouped(self.wide(self.expand(early))).split(8, 1)
        joined = torch.cat([self.left(a), self.right(b)], 1)
        larger = nn.functional.interpolate(joined, scale_factor=2.0, mode="nearest")
        y = relu(self.up(joined) + self.skip(early) + larger[:, :8])
        logits: Tensor = self.head(relu(self.hidden(y.mean((2, 3)))))
        return logits


@dataclass(frozen=True)
class Exported:
    """A float ONNX file and the shape of one of its images."""

    path: Path
    image_shape: tuple[int, int, int]


def export(
    network: nn.Module, path: Path, shape: tuple[int, int, int] = (16, 16, 3), batch: int | None = None
) -> Exported:
    """Export at opset 17 with a dynamic batch, or a fixed one."""
    dynamic = {"image": {0: "N"}, "logits": {0: "N"}} if batch is None else None
    torch.onnx.export(
        network.eval(),
        (torch.zeros((batch or 2, *shape), dtype=torch.uint8),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes=dynamic,
    )
    return Exported(path, shape)
