"""A small network with every operator that a fault is planted into, in float and quantised."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.produce import produce
from calibration.recipe import QuantRecipe

SIDE, CLASSES = 24, 6


@dataclass(frozen=True)
class Pair:
    """The float network, its Q/DQ forms by recipe, and pictures."""

    float_model: onnx.ModelProto
    quantised: dict[str, onnx.ModelProto]
    pictures: NDArray[np.uint8]


class _Network:
    """Collects nodes and random weights."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))  # type: ignore[arg-type]
        return output

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def conv(self, source: str, name: str, shape: tuple[int, int], stride: int = 1) -> str:
        spread = (2 / (shape[0] * 9)) ** 0.5
        weight = self.rng.normal(0, spread, (shape[1], shape[0], 3, 3)).astype(np.float32)
        weight *= self.rng.uniform(0.6, 1.6, (shape[1], 1, 1, 1)).astype(np.float32)
        bias = self.rng.normal(0, 0.6, shape[1]).astype(np.float32)
        inputs = [source, self.constant(f"{name}.w", weight), self.constant(f"{name}.b", bias)]
        return self.add(
            "Conv", inputs, name, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[stride, stride]
        )


def _resized(made: _Network, source: str) -> str:
    sizes = made.constant("factors", np.array([1, 1, 2, 2], np.float32))
    form = "half_pixel"
    return made.add("Resize", [source, "", sizes], "up", mode="linear", coordinate_transformation_mode=form)


def network(resizes: bool = True, side: int = SIDE, classes: int = CLASSES) -> onnx.ModelProto:
    """Return a residual network, pixels to logits. A file with a Resize is tried in a process of its own."""
    made = _Network(3)
    made.add("Cast", ["image"], "real", to=TensorProto.FLOAT)
    made.add("Sub", ["real", made.constant("mean", np.array([120.0, 115, 105], np.float32))], "centred")
    made.add(
        "Mul", ["centred", made.constant("scale", np.array([1 / 60, 1 / 58, 1 / 57], np.float32))], "unit"
    )
    made.add("Transpose", ["unit"], "planes", perm=[0, 3, 1, 2])
    first = made.add("Relu", [made.conv("planes", "stem", (3, 8))], "stem.relu")
    inner = made.add("Relu", [made.conv(first, "one", (8, 8))], "one.relu")
    made.add("Add", [made.conv(inner, "two", (8, 8)), first], "sum")
    block = made.add("Relu", ["sum"], "sum.relu")
    down = made.add("Relu", [made.conv(block, "down", (8, 16), 2)], "down.relu")
    up = _resized(made, down) if resizes else down
    last = made.add("Relu", [made.conv(up, "last", (16, 16), 2)], "last.relu")
    made.add("GlobalAveragePool", [last], "mean_of_pixels")
    made.add("Flatten", ["mean_of_pixels"], "features")
    weight = made.rng.normal(0, 1, (classes, 16)).astype(np.float32)
    names = [
        made.constant("head.w", weight),
        made.constant("head.b", made.rng.normal(0, 0.5, classes).astype(np.float32)),
    ]
    made.add("Gemm", ["features", *names], "logits", transB=1)
    graph = helper.make_graph(
        made.nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes])],
        made.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def pictures(count: int) -> NDArray[np.uint8]:
    """Return smooth random pictures with different colours."""
    rng = np.random.default_rng(5)
    coarse = rng.normal(0, 60, (count, SIDE // 4, SIDE // 4, 3)) + np.array([130, 110, 90])
    fine = np.kron(coarse, np.ones((1, 4, 4, 1))) + rng.normal(0, 10, (count, SIDE, SIDE, 3))
    return np.clip(fine, 0, 255).astype(np.uint8)


def small_pair(folder: Path, recipes: Sequence[str], resizes: bool = True) -> Pair:
    """Return the network, quantised by some recipes with files in `folder`."""
    model = network(resizes)
    onnx.save(model, folder / "model.onnx")
    images = pictures(16)
    quantised = {}
    for name in recipes:
        (folder / name).mkdir()
        recipe = QuantRecipe.parse(name)
        made = produce(folder / "model.onnx", lambda: iter([images]), recipe, folder / name)
        quantised[name] = onnx.load(made.quantized)
    return Pair(model, quantised, images[:8])
