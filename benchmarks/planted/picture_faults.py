"""Faults of the picture that a network reads: colours, normalisation, geometry.

Each public function plants one and returns the name of the node or tensor that it changed, or None where a
network has no place for it.
"""

import numpy as np
import onnx

from benchmarks.planted.rewiring import Array, Model, Rng, insert_behind, known_weight, nodes, producer


def _first_input(model: Model) -> str:
    """Return the tensor that the first convolution reads."""
    return str(nodes(model, "Conv")[0].input[0])


def _channels(model: Model) -> int:
    return int(known_weight(model, nodes(model, "Conv")[0])[1].shape[1])


def _wide(values: list[float] | Array) -> Array:
    return np.asarray(values, np.float32).reshape(1, -1, 1, 1)


def _scale_input(model: Model, factor: Array, shift: Array) -> str:
    tensor = _first_input(model)
    insert_behind(model, tensor, [("Mul", [factor], {}), ("Add", [shift], {})])
    return tensor


def bgr(model: Model, _: Rng) -> str | None:
    """Swap red and blue."""
    if _channels(model) != 3:
        return None
    insert_behind(model, "image", [("Gather", [np.array([2, 1, 0])], {"axis": 3})])
    return "image"


def mean(model: Model, rng: Rng) -> str:
    """Subtract another mean: the input is shifted by a third to one standard deviation."""
    count = _channels(model)
    shift = rng.uniform(0.4, 1.2) * _input_spread(model) * rng.choice([-1, 1])
    return _scale_input(model, _wide([1.0] * count), _wide([shift] * count))


def std(model: Model, rng: Rng) -> str:
    """Divide by another standard deviation."""
    count = _channels(model)
    factor = rng.choice([rng.uniform(0.4, 0.7), rng.uniform(1.5, 2.5)])
    return _scale_input(model, _wide([factor] * count), _wide([0.0] * count))


def value_range(model: Model, rng: Rng) -> str:
    """Give 0 to 1 for 0 to 255, or the reverse."""
    count = _channels(model)
    return _scale_input(model, _wide([float(rng.choice([255.0, 1 / 255]))] * count), _wide([0.0] * count))


def limited_colour_range(model: Model, _: Rng) -> str:
    """Take video levels, 16 to 235, for full ones."""
    insert_behind(
        model,
        "image",
        [
            ("Cast", [], {"to": onnx.TensorProto.FLOAT}),
            ("Mul", [np.array(219 / 255, np.float32)], {}),
            ("Add", [np.array(16, np.float32)], {}),
            ("Round", [], {}),
            ("Cast", [], {"to": onnx.TensorProto.UINT8}),
        ],
    )
    return "image"


def _input_spread(model: Model) -> float:
    """Return about one standard deviation of the first convolution's input, in its own unit."""
    source = producer(model, _first_input(model))
    quantised = source is not None and source.op_type == "DequantizeLinear"
    return 60.0 if quantised else 1.0


def mirrored(model: Model, _: Rng) -> str:
    """Mirror the picture."""
    steps: list[Array] = [np.array([-1]), np.array([np.iinfo(np.int64).min]), np.array([2]), np.array([-1])]
    insert_behind(model, "image", [("Slice", steps, {})])
    return "image"


def shifted_picture(model: Model, rng: Rng) -> str:
    """Cut the picture out a few pixels further down and right."""
    side = (
        next(one for one in model.graph.input if one.name == "image").type.tensor_type.shape.dim[1].dim_value
    )
    by = max(2, int(side * rng.uniform(0.08, 0.15)))
    index = np.minimum(np.arange(side) + by, side - 1)
    insert_behind(model, "image", [("Gather", [index], {"axis": 1}), ("Gather", [index], {"axis": 2})])
    return "image"
