"""A deep network that amplifies the errors of rounding, and ways to change its constants."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.difference.side import Array, Pictures

SIDE, WIDTH, CLASSES = 12, 12, 8
Changed = Callable[[Array], Array]


def deep(layers: int) -> onnx.ModelProto:
    """Return a network that amplifies errors: each filter's weights sum to 0, so nothing common is left.

    An error's power grows by a factor of about 1.47 a layer: 1 / (1 - 1 / pi), from the covariance of
    rectified normal numbers (Cho and Saul 2009).
    """
    rng = np.random.default_rng(1)
    nodes = [helper.make_node("Cast", ["image"], ["real"], "cast", to=TensorProto.FLOAT)]
    constants = {"mean": np.full(3, 120, np.float32), "scale": np.full(3, 1 / 60, np.float32)}
    nodes += [
        helper.make_node("Sub", ["real", "mean"], ["centred"], "centre"),
        helper.make_node("Mul", ["centred", "scale"], ["unit"], "scaled"),
        helper.make_node("Transpose", ["unit"], ["planes"], "planes", perm=[0, 3, 1, 2]),
    ]
    source, channels = "planes", 3
    for number in range(layers):
        weight = rng.normal(0, 1, (WIDTH, channels, 3, 3))
        weight -= weight.mean((1, 2, 3), keepdims=True) if number else 0
        weight *= np.sqrt(3 / (channels * 9)) if number else np.sqrt(2 / 27)
        constants |= {
            f"w{number}": weight.astype(np.float32),
            f"b{number}": rng.normal(0, 0.1, WIDTH).astype(np.float32),
        }
        names = [source, f"w{number}", f"b{number}"]
        nodes.append(
            helper.make_node(
                "Conv", names, [f"conv{number}"], f"conv{number}", kernel_shape=[3, 3], pads=[1] * 4
            )
        )
        nodes.append(helper.make_node("Relu", [f"conv{number}"], [f"relu{number}"], f"relu{number}"))
        source, channels = f"relu{number}", WIDTH
    head = rng.normal(0, 1, (CLASSES, WIDTH)).astype(np.float32)
    constants["head"] = head - head.mean(1, keepdims=True)
    nodes += [
        helper.make_node("GlobalAveragePool", [source], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["features"], "flatten"),
        helper.make_node("Gemm", ["features", "head"], ["logits"], "gemm", transB=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "deep", [image], [logits], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


PICTURES: Pictures = np.random.default_rng(2).integers(0, 256, (24, SIDE, SIDE, 3)).astype(np.uint8)


def quantised(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    onnx.save(model, folder / "model.onnx")
    recipe = QuantRecipe.parse("w8a8_asym")
    return onnx.load(produce(folder / "model.onnx", lambda: iter([PICTURES]), recipe, folder).quantized)


def with_constants(
    model: onnx.ModelProto, wanted: Callable[[str, Array], bool], to: Changed
) -> onnx.ModelProto:
    """Return a copy in which some constants are changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for one in copy.graph.initializer:
        value = numpy_helper.to_array(one)
        if wanted(one.name, value):
            one.CopyFrom(numpy_helper.from_array(to(value).astype(value.dtype), one.name))
    return copy
