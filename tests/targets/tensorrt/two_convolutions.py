"""A network of two convolutions, for scenarios on a device's double."""

from typing import Any

import numpy as np
from onnx import helper, numpy_helper


def two_convolutions(weights: Any, rounded_to: float = 0.5) -> bytes:
    """A Q/DQ graph of two convolutions with these weights, whose inputs are rounded to a scale."""
    constants = {
        "scale": np.float32(rounded_to),
        "zero": np.int8(0),
        "w": weights,
        "of w": np.float32(0.5),
    }
    nodes, tensor = [], "image"
    for name in ("first", "second"):
        rounded, back, weights = f"{name}/q", f"{name}/dq", f"{name}/w"
        nodes += [
            helper.make_node("QuantizeLinear", [tensor, "scale", "zero"], [rounded]),
            helper.make_node("DequantizeLinear", [rounded, "scale", "zero"], [back]),
            helper.make_node("DequantizeLinear", ["w", "of w", "zero"], [weights]),
            helper.make_node("Conv", [back, weights], [name], name),
        ]
        tensor = name
    shape = [1, len(weights), 8, 8]
    image, logits = (helper.make_tensor_value_info(n, 1, shape) for n in ("image", tensor))
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [image], [logits], values)
    return bytes(helper.make_model(graph).SerializeToString())
