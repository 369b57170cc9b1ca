"""The parts of residual networks in torch: blocks of both orders, and shortcuts.

A block's `downsample` is its shortcut: an Identity where nothing changes, None in a plain network. Names of
parameters are torchvision's: conv1, bn1, conv2, bn2, (conv3, bn3,) downsample.0, downsample.1.
"""

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.architecture import Architecture


class Block(nn.Module):
    """Two convolutions, or a bottleneck of three: 1x1 down, 3x3, 1x1 up. Order: convolution, norm, ReLU."""

    def __init__(self, a: Architecture, width_in: int, width: int, planes: int, stride: int) -> None:
        """Change `width_in` channels to `width`, with `planes` in between."""
        super().__init__()
        self.convolutions = 3 if a.bottleneck else 2
        widths = (*(width_in, planes, planes)[: self.convolutions], width)
        kernels = (1, 3, 1) if a.bottleneck else (3, 3)
        striding = 2 if a.bottleneck and not a.stride_first else 1
        for n in range(1, self.convolutions + 1):
            first, second = widths[n - 1 : n + 1]
            bias = a.keras and n == self.convolutions
            step = stride if n == striding else 1
            self.add_module(f"conv{n}", convolution(first, second, kernels[n - 1], step, bias))
            self.add_module(f"bn{n}", nn.BatchNorm2d(first if a.preactivation else second))
        self.downsample = _shortcut(a, width_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(residual(x) + shortcut(x))."""
        y = x
        for n in range(1, self.convolutions + 1):
            y = self.get_submodule(f"bn{n}")(self.get_submodule(f"conv{n}")(y))
            if n < self.convolutions:
                y = functional.relu(y)
        return functional.relu(y if self.downsample is None else y + self.downsample(x))

    @property
    def last_norm(self) -> nn.BatchNorm2d | None:
        """The norm that ends the residual branch; None where there is no addition behind it."""
        norm = self.get_submodule(f"bn{self.convolutions}")
        return norm if self.downsample is not None and isinstance(norm, nn.BatchNorm2d) else None


class PreActivationBlock(Block):
    """A block with norm and ReLU before each convolution, and nothing after the addition.

    He et al. 2016, "Identity Mappings in Deep Residual Networks", figure 4e. A shortcut that changes the
    channels reads its input after the first norm and ReLU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return residual(x) + shortcut(x)."""
        before, y = x, x
        for n in range(1, self.convolutions + 1):
            y = functional.relu(self.get_submodule(f"bn{n}")(y))
            if n == 1 and not isinstance(self.downsample, nn.Identity | nn.MaxPool2d):
                before = y
            y = self.get_submodule(f"conv{n}")(y)
        return y if self.downsample is None else y + self.downsample(before)

    @property
    def last_norm(self) -> None:
        """None: the branch ends in a convolution."""


class PadShortcut(nn.Module):
    """Option A of section 3.3: every second pixel, and new channels that are zero, half on each side."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.before = (width - width_in) // 2
        self.after = width - width_in - self.before
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, width, H / stride, W / stride]."""
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, self.before, self.after))


class ProjectionShortcut(nn.Sequential):
    """Options B and C of section 3.3: a 1x1 convolution and its batch norm."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__(convolution(width_in, width, kernel=1, stride=stride), nn.BatchNorm2d(width))


def _shortcut(a: Architecture, width_in: int, width: int, stride: int) -> nn.Module | None:
    if a.connection == "none":
        return None
    if a.connection != "C" and width_in == width and stride == 1:
        return nn.Identity()
    if a.keras and width_in == width:
        return nn.MaxPool2d(1, stride)
    if a.connection == "A":
        return PadShortcut(width_in, width, stride)
    if a.preactivation:  # its input is already normalised (He et al. 2016)
        return nn.Sequential(convolution(width_in, width, kernel=1, stride=stride, bias=a.keras))
    return ProjectionShortcut(width_in, width, stride)


def convolution(
    channels_in: int, channels: int, kernel: int, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Make a convolution, usually without bias: a norm comes before or after it."""
    return nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2, bias=bias)
