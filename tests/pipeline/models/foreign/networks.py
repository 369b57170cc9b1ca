"""Small networks of other families, as people bring them: nearly all torch, float NCHW, exported to ONNX."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tests.pipeline.models.foreign.mobile_networks import (
    EfficientNetLike,
    EfficientNetLiteLike,
    MobileNetLike,
    MobileNetV3Like,
    ShuffleNetLike,
)
from tests.pipeline.models.foreign.plain_networks import (
    AlexNetLike,
    DenseNetLike,
    GoogLeNetLike,
    HighwayLike,
    VggLike,
)
from tests.pipeline.models.foreign.segmenters import FcnLike, UNetLike

SIDE = 32


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
