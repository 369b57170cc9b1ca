"""Small networks of other families, as people bring them: nearly all torch, float NCHW, exported to ONNX."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

SIDE = 32
CLASSES = 10


def _conv(
    channels_in: int, channels: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class AlexNetLike(nn.Sequential):
    """Krizhevsky et al. 2012: large strided kernels with biases, overlapping pooling, hidden dense layers."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 5, 2, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(32 * 9, 64),
            nn.ReLU(),
            nn.Linear(64, CLASSES),
        )


class VggLike(nn.Sequential):
    """Simonyan and Zisserman 2014: 3x3 convolutions and 2x2 pooling."""

    def __init__(self) -> None:
        super().__init__(
            _conv(3, 16),
            _conv(16, 16),
            nn.MaxPool2d(2),
            _conv(16, 32),
            _conv(32, 32),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(32 * 16, CLASSES),
        )


class Inception(nn.Module):
    """Szegedy et al. 2015: four branches, joined by Concat."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = _conv(channels, 8, 1)
        self.three = nn.Sequential(_conv(channels, 8, 1), _conv(8, 16))
        self.five = nn.Sequential(_conv(channels, 4, 1), _conv(4, 8, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), _conv(channels, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 40, H, W]."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


class GoogLeNetLike(nn.Sequential):
    """Two inception modules."""

    def __init__(self) -> None:
        super().__init__(
            _conv(3, 16, stride=2),
            Inception(16),
            nn.MaxPool2d(3, 2, 1),
            Inception(40),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(40, CLASSES),
        )


class DenseLayer(nn.Module):
    """Huang et al. 2017: norm, ReLU, convolution; the input is kept beside the output."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, channels + growth, H, W]."""
        return torch.cat([x, self.conv(functional.relu(self.bn(x)))], 1)


class DenseNetLike(nn.Sequential):
    """Two dense blocks with a transition (1x1 convolution, average pooling) between them."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            DenseLayer(16, 8),
            DenseLayer(24, 8),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 16, 1, bias=False),
            nn.AvgPool2d(2),
            DenseLayer(16, 8),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, CLASSES),
        )


class HighwayLayer(nn.Module):
    """Srivastava et al. 2015, equation 3: H(x) T(x) + x (1 - T(x)), T a sigmoid gate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.work = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.constant_(self.gate.bias, -1.0)  # type: ignore[arg-type]  # begins by carrying

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, H, W]."""
        gate = torch.sigmoid(self.gate(x))
        return functional.relu(self.work(x)) * gate + x * (1 - gate)


class HighwayLike(nn.Sequential):
    """A stem and three gated layers."""

    def __init__(self) -> None:
        super().__init__(
            _conv(3, 16, stride=2),
            *(HighwayLayer(16) for _ in range(3)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, CLASSES),
        )


class InvertedResidual(nn.Module):
    """Sandler et al. 2018, "MobileNetV2": expand, depthwise, project; ReLU6; a shortcut without ReLU."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        hidden = 4 * channels_in
        self.shortcut = stride == 1 and channels_in == channels
        self.branch = nn.Sequential(
            nn.Conv2d(channels_in, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, channels, H / stride, W / stride]."""
        y: Tensor = self.branch(x)
        return x + y if self.shortcut else y


class MobileNetLike(nn.Sequential):
    """A strided stem and three inverted residuals."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU6(),
            InvertedResidual(16, 16, 1),
            InvertedResidual(16, 24, 2),
            InvertedResidual(24, 24, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, CLASSES),
        )


class SqueezeExcite(nn.Module):
    """Hu et al. 2018: each channel times a gate that all of the map decides."""

    def __init__(self, channels: int, squeezed: int, gate: nn.Module) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            gate,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, H, W]."""
        y: Tensor = x * self.gate(x)
        return y


class GatedResidual(nn.Module):
    """An inverted residual with a squeeze-and-excite gate, as in MobileNetV3 and EfficientNet."""

    def __init__(
        self, channels_in: int, channels: int, stride: int, activation: type[nn.Module], gate: type[nn.Module]
    ) -> None:
        super().__init__()
        hidden = 4 * channels_in
        self.shortcut = stride == 1 and channels_in == channels
        self.branch = nn.Sequential(
            nn.Conv2d(channels_in, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
            nn.Conv2d(hidden, hidden, 5, stride, 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
            SqueezeExcite(hidden, 16, gate()),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, channels, H / stride, W / stride]."""
        y: Tensor = self.branch(x)
        return x + y if self.shortcut else y


class MobileNetV3Like(nn.Sequential):
    """Howard et al. 2019: HardSwish, gates of HardSigmoid, a hidden dense layer behind the pooling."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.Hardswish(),
            GatedResidual(16, 16, 1, nn.ReLU, nn.Hardsigmoid),
            GatedResidual(16, 24, 2, nn.Hardswish, nn.Hardsigmoid),
            GatedResidual(24, 24, 1, nn.Hardswish, nn.Hardsigmoid),
            nn.Conv2d(24, 96, 1, bias=False),
            nn.BatchNorm2d(96),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(96, 64),
            nn.Hardswish(),
            nn.Dropout(),
            nn.Linear(64, CLASSES),
        )


class EfficientNetLike(nn.Sequential):
    """Tan and Le 2019: SiLU, gates of Sigmoid."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.SiLU(),
            GatedResidual(16, 24, 2, nn.SiLU, nn.Sigmoid),
            GatedResidual(24, 24, 1, nn.SiLU, nn.Sigmoid),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, CLASSES),
        )


class EfficientNetLiteLike(nn.Sequential):
    """EfficientNet for edge devices: ReLU6, no gates, a wide 1x1 convolution before the pooling."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU6(),
            InvertedResidual(16, 24, 2),
            InvertedResidual(24, 24, 1),
            nn.Conv2d(24, 96, 1, bias=False),
            nn.BatchNorm2d(96),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(96, CLASSES),
        )


class FcnLike(nn.Sequential):
    """Long et al. 2015: a classifier for each pixel, made large again by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__(
            _conv(3, 16, stride=2),
            _conv(16, 32, stride=2),
            nn.Conv2d(32, 4, 1),
            nn.ConvTranspose2d(4, 4, 4, 2, 1),
            nn.ConvTranspose2d(4, 4, 4, 2, 1),
        )


class UNetLike(nn.Module):
    """Ronneberger et al. 2015: down, up by resizing, and the early layers joined in by Concat."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _conv(3, 8)
        self.second = _conv(8, 16)
        self.up = _conv(24, 8)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 4, H, W]."""
        first = self.first(x)
        second = self.second(functional.max_pool2d(first, 2))
        large = functional.interpolate(second, scale_factor=2.0, mode="nearest")
        y: Tensor = self.head(self.up(torch.cat([large, first], 1)))
        return y


class _Shuffled(nn.Module):
    """Half of the channels is convolved, then all are shuffled; the half is half of what came."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.worked = nn.Sequential(nn.Conv2d(channels // 2, channels // 2, 3, 1, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        kept, worked = x.chunk(2, 1)
        images, channels, height, width = x.shape
        joined = torch.cat([kept, self.worked(worked)], 1)
        turned = joined.view(images, 2, channels // 2, height, width).transpose(1, 2)
        return turned.reshape(images, channels, height, width)


class ShuffleNetLike(nn.Sequential):
    """A stem and two blocks of ShuffleNetV2."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.ReLU(),
            _Shuffled(16),
            _Shuffled(16),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, CLASSES),
        )


CLASSIFIERS: dict[str, type[nn.Module]] = {
    "alexnet": AlexNetLike,
    "vgg": VggLike,
    "googlenet": GoogLeNetLike,
    "densenet": DenseNetLike,
    "highway": HighwayLike,
    "mobilenet": MobileNetLike,
    "mobilenetv3": MobileNetV3Like,
    "efficientnet": EfficientNetLike,
    "efficientnet-lite": EfficientNetLiteLike,
    "shufflenet": ShuffleNetLike,
}
SEGMENTERS: dict[str, type[nn.Module]] = {"fcn": FcnLike, "unet": UNetLike}


def make(kind: type[nn.Module]) -> nn.Module:
    """Build a network with random weights, and norms that have seen some images."""
    torch.manual_seed(0)
    network = kind().train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.randn(16, 3, SIDE, SIDE))
    return network.eval()


def export(
    network: nn.Module, path: Path, opset: int = 17, batch: str | None = "batch", channels: int = 3
) -> Path:
    """Write the network as torch does, with the input `input` and the output `output`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, channels, SIDE, SIDE),),
            str(path),
            input_names=["input"],
            output_names=["output"],
            opset_version=opset,
            dynamic_axes={"input": {0: batch}, "output": {0: batch}} if batch else None,
            dynamo=False,
        )
    return path


def nhwc_network(path: Path) -> Path:
    """uint8 NHWC with its own normalisation, as TensorFlow's converters write."""
    rng = np.random.default_rng(1)
    values = {
        "scale": np.array([1 / 127.5], np.float32),
        "one": np.array(1, np.float32),
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "fc": rng.normal(size=(4, 5)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["a", "scale"], ["b"]),
        helper.make_node("Sub", ["b", "one"], ["c"]),
        helper.make_node("Transpose", ["c"], ["d"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["d", "w"], ["e"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("Gemm", ["g", "fc"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def pixels(count: int = 6) -> NDArray[np.uint8]:
    """Return noise that the networks take, uint8 [count, SIDE, SIDE, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
