"""Faults of the scales and zero points of activations.

Each public function plants one and returns the name of the node or tensor that it changed, or None where a
network has no place for it.
"""

import numpy as np
import onnx

from benchmarks.planted.rewiring import (
    Model,
    Rng,
    constants,
    insert_behind,
    nodes,
    one_of,
    producer,
    set_constant,
)


def _pairs(model: Model) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Return each QuantizeLinear with the DequantizeLinear that reads it."""
    found = []
    for quantise in nodes(model, "QuantizeLinear"):
        for reader in nodes(model, "DequantizeLinear"):
            if reader.input[0] == quantise.output[0]:
                found.append((quantise, reader))
                break
    return found


def _rescale(model: Model, factor: float, pair: tuple[onnx.NodeProto, onnx.NodeProto], both: bool) -> str:
    quantise, dequantise = pair
    scale = constants(model)[quantise.input[1]]
    name = f"{quantise.output[0]}/planted_scale"
    set_constant(model, name, np.asarray(scale * factor, np.float32))
    dequantise.input[1] = name
    if both:
        quantise.input[1] = name
    return str(quantise.input[0])


def clipped_range(model: Model, rng: Rng) -> str | None:
    """Give a tensor a range that cuts its larger values."""
    pair = one_of(_pairs(model), rng)
    return None if pair is None else _rescale(model, rng.uniform(0.1, 0.3), pair, both=True)


def coarse_activation(model: Model, rng: Rng) -> str | None:
    """Give a tensor a range that is far too wide."""
    pair = one_of(_pairs(model), rng)
    return None if pair is None else _rescale(model, rng.uniform(12, 30), pair, both=True)


def range_from_zero(model: Model, rng: Rng) -> str | None:
    """Round a layer in front of a sum in the range of the ReLU behind the sum, as if it were the layer's."""
    known, found = constants(model), []
    for quantise, _ in _pairs(model):
        relu = producer(model, quantise.input[0])
        add = None if relu is None or relu.op_type != "Relu" else producer(model, relu.input[0])
        if add is None or add.op_type != "Add":
            continue
        made = [source for name in add.input if (source := producer(model, name)) is not None]
        found += [(layer, quantise) for layer in made if layer.op_type == "Conv"]
    chosen = one_of(found, rng)
    if chosen is None:
        return None
    layer, quantise = chosen
    scale, zero = (known[name] for name in quantise.input[1:])
    limits = np.iinfo(zero.dtype)
    step = np.asarray((limits.max - zero.astype(np.float64)) * scale / (limits.max - limits.min), np.float32)
    grid = [step, np.asarray(limits.min, zero.dtype)]
    insert_behind(model, layer.output[0], [("QuantizeLinear", grid, {}), ("DequantizeLinear", grid, {})])
    return str(layer.output[0])


def other_scale_behind(model: Model, rng: Rng) -> str | None:
    """Dequantise with another scale than was quantised with."""
    pair = one_of(_pairs(model), rng)
    return None if pair is None else _rescale(model, rng.choice([0.7, 1.4]), pair, both=False)


def other_zero_point(model: Model, rng: Rng) -> str | None:
    """Dequantise around another zero point."""
    pair = one_of(_pairs(model), rng)
    if pair is None:
        return None
    quantise, dequantise = pair
    zero = constants(model)[dequantise.input[2]]
    name = f"{quantise.output[0]}/planted_zero_point"
    by = int(rng.integers(10, 30))
    limits = np.iinfo(zero.dtype)
    moved = zero.astype(np.int64) + (by if int(zero.max()) + by <= limits.max else -by)
    set_constant(model, name, moved.astype(zero.dtype))
    dequantise.input[2] = name
    return str(quantise.input[0])
