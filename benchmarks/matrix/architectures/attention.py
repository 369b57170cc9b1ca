"""Networks with attention, and those that took norms and activations from transformers."""

import torch
from torch import Tensor, nn

from benchmarks.matrix.architectures.building_blocks import (
    CLASSES,
    Shortcut,
    SqueezeExcite,
    classifier,
    conv_norm,
)


class EfficientChannelAttention(nn.Module):
    """Wang et al. 2020: gates by a convolution along the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.along = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True).squeeze(-1).transpose(1, 2)
        gates = torch.sigmoid(self.along(means)).transpose(1, 2).unsqueeze(-1)
        return x * gates


def eca() -> nn.Module:
    """Wang et al. 2020."""
    block = Shortcut(nn.Sequential(conv_norm(16, 16), EfficientChannelAttention()), after=nn.ReLU())
    return nn.Sequential(conv_norm(3, 16, 3, 2), block, conv_norm(16, 32, 3, 2), classifier(32))


class SpatialAttention(nn.Module):
    """Woo et al. 2018: a gate for each pixel, from the mean and the maximum over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.convolution(seen))


def cbam() -> nn.Module:
    """Woo et al. 2018: attention over channels, then over pixels."""
    block = Shortcut(nn.Sequential(conv_norm(16, 16), SqueezeExcite(16), SpatialAttention()), after=nn.ReLU())
    return nn.Sequential(conv_norm(3, 16, 3, 2), block, conv_norm(16, 32, 3, 2), classifier(32))


class ChannelsLastNorm(nn.Module):
    """LayerNorm over channels, turned there and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return y


class _ConvNextBlock(nn.Module):
    """Liu et al. 2022: a 7 x 7 depthwise convolution, LayerNorm, dense layers with GELU, a scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.dense = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )
        self.scale = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.dense(self.norm(self.depthwise(x).permute(0, 2, 3, 1))) * self.scale
        turned: Tensor = y.permute(0, 3, 1, 2)
        return x + turned


def convnext() -> nn.Module:
    """Liu et al. 2022."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 4, 4),
        ChannelsLastNorm(24),
        _ConvNextBlock(24),
        _ConvNextBlock(24),
        classifier(24),
    )


class _Mixer(nn.Module):
    def __init__(self, channels: int, patches: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.across = nn.Sequential(
            nn.Linear(patches, 2 * patches), nn.GELU(), nn.Linear(2 * patches, patches)
        )
        self.within = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.across(self.first(x).transpose(1, 2)).transpose(1, 2)
        within: Tensor = self.within(self.second(x))
        return x + within


class MlpMixer(nn.Module):
    """Tolstikhin et al. 2021: dense layers over patches, and over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.blocks = nn.Sequential(_Mixer(32, 16), _Mixer(32, 16), nn.LayerNorm(32))
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.blocks(self.patches(x).flatten(2).transpose(1, 2)).mean(1))
        return y
