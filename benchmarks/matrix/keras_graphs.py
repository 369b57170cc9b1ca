"""Networks as TensorFlow's converters write them: NHWC, Transposes, SAME, Pad, norms that are not folded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE, CLASSES = 32, 10
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


class KerasGraph:
    """A graph that grows layer by layer; `at` is the last tensor. Weights are random, norms saw images."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.at = "input_1"
        self._images = images
        self._random = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *others: str, source: str | None = None, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node that reads the last tensor, or `source`, and constants or tensors by name."""
        name = f"model/{operator}_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, [source or self.at, *others], [f"{name}:0"], name, **attributes)
        )
        self.at = f"{name}:0"
        return self.at

    def constant(self, value: object, kind: type[np.generic] = np.float32) -> str:
        """Add a constant, and return its name."""
        name = f"const_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def convolution(
        self,
        channels_in: int,
        channels: int,
        kernel: int = 3,
        depthwise: bool = False,
        **attributes: Any,  # noqa: ANN401
    ) -> None:
        """Add a convolution and, as BiasAdd, its bias."""
        planes = 1 if depthwise else channels_in
        spread = (2 / (planes * kernel**2)) ** 0.5
        weight = self._random.normal(0, spread, (channels, planes, kernel, kernel))
        attributes = {"kernel_shape": [kernel, kernel], "group": channels if depthwise else 1, **attributes}
        self.node("Conv", self.constant(weight), **attributes)
        self.node("Add", self.constant(self._random.normal(0, 0.1, (1, channels, 1, 1))))

    def norm(self, channels: int) -> None:
        """Add a batch norm with the statistics of the images."""
        seen = self.run(self.at)
        values = (
            self._random.uniform(0.7, 1.3, channels),
            self._random.normal(0, 0.3, channels),
            seen.mean((0, 2, 3)),
            seen.var((0, 2, 3)),
        )
        self.node("BatchNormalization", *(self.constant(value) for value in values), epsilon=1e-3)

    def dense(self, features: int, outputs: int) -> None:
        """Add MatMul and Add."""
        self.node("MatMul", self.constant(self._random.normal(0, features**-0.5, (features, outputs))))
        self.node("Add", self.constant(self._random.normal(0, 0.1, outputs)))

    def model(self, opset: int, output: str | None = None) -> onnx.ModelProto:
        """Return the graph so far."""
        given = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["unk__1", SIDE, SIDE, 3])
        made = helper.make_empty_tensor_value_info(output or self.at)
        graph = helper.make_graph(self._nodes, "tf2onnx", [given], [made], self._weights)
        whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        return onnx.shape_inference.infer_shapes(whole)

    def run(self, output: str) -> NDArray[np.float32]:
        """Return a tensor for the images."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        content = self.model(13, output).SerializeToString()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return np.asarray(session.run([output], {"input_1": self._images})[0])


def keras_resnet(graph: KerasGraph) -> None:
    """ResNet of Keras' applications: ZeroPadding2D in front of VALID convolutions and of the pool."""
    graph.node("Pad", graph.constant([0, 3, 3, 0, 0, 3, 3, 0], np.int64))
    graph.node("Transpose", perm=TO_NCHW)
    graph.convolution(3, 16, 7, strides=[2, 2], auto_pad="VALID")
    graph.norm(16)
    graph.node("Relu")
    graph.node("Pad", graph.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    graph.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="VALID")
    for channels_in, channels, stride in ((16, 32, 1), (32, 64, 2)):
        before = graph.at
        graph.convolution(channels_in, channels, 1, strides=[stride, stride], auto_pad="VALID")
        graph.norm(channels)
        beside = graph.at
        graph.at = before
        graph.convolution(channels_in, channels, 3, strides=[stride, stride], auto_pad="SAME_UPPER")
        graph.norm(channels)
        graph.node("Relu")
        graph.convolution(channels, channels, 3, auto_pad="SAME_UPPER")
        graph.norm(channels)
        graph.node("Add", beside)
        graph.node("Relu")
    _mean_and_classes(graph, 64)


def keras_mobilenet(graph: KerasGraph) -> None:
    """MobileNet of Keras' applications: SAME, ReLU6 as Clip with bounds, depthwise convolutions."""
    bounds = [graph.constant(0.0), graph.constant(6.0)]
    graph.node("Mul", graph.constant(1 / 127.5))
    graph.node("Sub", graph.constant(1.0))
    graph.node("Transpose", perm=TO_NCHW)
    graph.convolution(3, 16, 3, strides=[2, 2], auto_pad="SAME_UPPER")
    graph.norm(16)
    graph.node("Clip", *bounds)
    for channels_in, channels, stride in ((16, 32, 1), (32, 64, 2)):
        graph.convolution(channels_in, channels_in, 3, True, strides=[stride] * 2, auto_pad="SAME_UPPER")
        graph.norm(channels_in)
        graph.node("Clip", *bounds)
        graph.convolution(channels_in, channels, 1, auto_pad="VALID")
        graph.norm(channels)
        graph.node("Clip", *bounds)
    _mean_and_classes(graph, 64)


def keras_vgg(graph: KerasGraph) -> None:
    """A plain network that flattens maps with the channels last, as Keras' Flatten does."""
    graph.node("Transpose", perm=TO_NCHW)
    for channels_in, channels in ((3, 16), (16, 32)):
        graph.convolution(channels_in, channels, 3, auto_pad="SAME_UPPER")
        graph.node("Relu")
        graph.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2], auto_pad="VALID")
    graph.node("Transpose", perm=TO_NHWC)
    graph.node("Reshape", graph.constant([-1, 32 * 64], np.int64))
    graph.dense(32 * 64, 32)
    graph.node("Relu")
    graph.dense(32, CLASSES)
    graph.node("Softmax", axis=-1)


def keras_swish(graph: KerasGraph) -> None:
    """Swish as Sigmoid and Mul, squeeze and excitation in NHWC, a Transpose around every convolution."""
    for channels_in, channels in ((3, 16), (16, 32)):
        graph.node("Transpose", perm=TO_NCHW)
        graph.convolution(channels_in, channels, 3, strides=[2, 2], auto_pad="SAME_UPPER")
        graph.norm(channels)
        graph.node("Transpose", perm=TO_NHWC)
        before = graph.at
        gate = graph.node("Sigmoid")
        graph.node("Mul", gate, source=before)
    before = graph.at
    graph.node("ReduceMean", axes=[1, 2], keepdims=1)
    graph.node("Transpose", perm=TO_NCHW)
    graph.convolution(32, 8, 1, auto_pad="VALID")
    graph.node("Relu")
    graph.convolution(8, 32, 1, auto_pad="VALID")
    graph.node("Sigmoid")
    gates = graph.node("Transpose", perm=TO_NHWC)
    graph.node("Mul", gates, source=before)
    graph.node("ReduceMean", axes=[1, 2], keepdims=0)
    graph.dense(32, CLASSES)
    graph.node("Softmax", axis=-1)


def keras_unet(graph: KerasGraph) -> None:
    """UpSampling2D as Resize, a Concat, and classes of pixels with the channels last."""
    graph.node("Transpose", perm=TO_NCHW)
    graph.convolution(3, 8, 3, auto_pad="SAME_UPPER")
    first = graph.node("Relu")
    graph.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2], auto_pad="VALID")
    graph.convolution(8, 16, 3, auto_pad="SAME_UPPER")
    graph.node("Relu")
    graph.node(
        "Resize",
        "",
        graph.constant([1, 1, 2, 2]),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    graph.node("Concat", first, axis=1)
    graph.convolution(24, 4, 3, auto_pad="SAME_UPPER")
    graph.node("Transpose", perm=TO_NHWC)
    graph.node("Softmax", axis=-1)


def _mean_and_classes(graph: KerasGraph, channels: int) -> None:
    graph.node("ReduceMean", axes=[2, 3], keepdims=0)
    graph.dense(channels, CLASSES)
    graph.node("Softmax", axis=-1)


GRAPHS: dict[str, Callable[[KerasGraph], None]] = {
    "keras-resnet": keras_resnet,
    "keras-mobilenet": keras_mobilenet,
    "keras-vgg": keras_vgg,
    "keras-swish": keras_swish,
    "keras-unet": keras_unet,
}
PIXELS = ("keras-mobilenet",)
"""Those that normalise pixels themselves."""


def write(name: str, images: NDArray[np.uint8], opset: int, path: Path) -> Path:
    """Write a graph whose norms have seen images [N, H, W, C]."""
    seen = (
        images.astype(np.float32)
        if name in PIXELS
        else (images / np.float32(255) - np.float32(0.5)) / np.float32(0.25)
    )
    graph = KerasGraph(seen.astype(np.float32))
    GRAPHS[name](graph)
    onnx.save(graph.model(opset), path)
    return path
