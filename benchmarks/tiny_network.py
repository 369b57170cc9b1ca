"""A network so small that what a benchmark of processes measures is not its arithmetic."""

from pathlib import Path

import numpy as np

CHANNELS, CLASSES, SIDE = 8, 10, 28


def write_tiny_network(folder: Path) -> Path:
    """Write two convolutions with random weights for the embedded images, as ONNX with its description."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(0)
    shapes = {"stem": (CHANNELS, 1, 3, 3), "wide": (CHANNELS, CHANNELS, 3, 3), "dense": (CLASSES, CHANNELS)}
    weights = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    around, half = [1, 1, 1, 1], [2, 2]
    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["a"], name="stem", pads=around, strides=half),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "wide"], ["c"], name="wide", pads=around, strides=half),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "dense"], ["logits"], name="dense", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    file = folder / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    file.with_suffix(".toml").write_text("channels = 1\nmean = [0.3]\nstd = [0.3]\n")
    return file
