"""A small network whose float results show in every bit how a processor computes."""

import hashlib

import numpy as np

IMAGES, SIZE, CHANNELS, CLASSES = 4, 12, 24, 10


def canary_digest() -> str:
    """Return the SHA-256 of logits that onnxruntime computes: machines with the same one compute alike.

    Instruction sets add products in different orders, which convolutions of many channels show.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_network(), options, ["CPUExecutionProvider"])
    images = np.random.default_rng(0).normal(size=(IMAGES, 3, SIZE, SIZE)).astype(np.float32)
    (logits,) = session.run(None, {"image": images})
    return hashlib.sha256(np.ascontiguousarray(logits).tobytes()).hexdigest()


def _network() -> bytes:
    """Return convolutions, a pool, a Softmax and a Gemm as ONNX, with random weights."""
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(1)
    shapes = {
        "stem": (CHANNELS, 3, 3, 3),
        "wide": (2 * CHANNELS, CHANNELS, 3, 3),
        "apart": (2 * CHANNELS, 1, 3, 3),
        "dense": (CLASSES, 2 * CHANNELS),
    }
    weights = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    around = [1, 1, 1, 1]
    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["a"], pads=around),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "wide"], ["c"], pads=around, strides=[2, 2]),
        helper.make_node("Conv", ["c", "apart"], ["d"], pads=around, group=2 * CHANNELS),
        helper.make_node("Add", ["c", "d"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("Gemm", ["g", "dense"], ["h"], transB=1),
        helper.make_node("Softmax", ["h"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "canary",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
