"""Faults of weights, biases and folded norms.

Each public function plants one and returns the name of the node or tensor that it changed, or None where a
network has no place for it.
"""

import numpy as np
import onnx

from benchmarks.planted.rewiring import (
    Array,
    Model,
    Rng,
    constants,
    known_weight,
    nodes,
    one_of,
    set_constant,
    weight_of,
    weight_scale,
)

LAYERS = ("Conv", "Gemm", "MatMul", "ConvTranspose")


def _layer(model: Model, rng: Rng, least: int = 1, types: tuple[str, ...] = LAYERS) -> onnx.NodeProto | None:
    """Draw a layer with constant weights of at least `least` values in each output channel."""
    found = []
    for node in nodes(model, *types):
        weight = weight_of(model, node)
        if weight is not None and weight[1].ndim >= 2 and weight[1][0].size >= least:
            found.append(node)
    return one_of(found, rng)


def other_weights(model: Model, rng: Rng) -> str | None:
    """Take the weights of another checkpoint: as large, in another order."""
    node = _layer(model, rng, 9)
    if node is None:
        return None
    name, weight = known_weight(model, node)
    set_constant(model, name, rng.permuted(weight.reshape(len(weight), -1), axis=1).reshape(weight.shape))
    return str(node.output[0])


def flipped_kernel(model: Model, rng: Rng) -> str | None:
    """Turn the kernels by half a turn: a true convolution for a correlation."""
    spatial = [n for n in nodes(model, "Conv") if (w := weight_of(model, n)) and w[1].shape[-1] >= 3]
    node = one_of(spatial, rng)
    if node is None:
        return None
    name, weight = known_weight(model, node)
    set_constant(model, name, weight[..., ::-1, ::-1])
    return str(node.output[0])


def _real_weight(model: Model, node: onnx.NodeProto) -> Array:
    _, weight = known_weight(model, node)
    scale = weight_scale(model, node)
    if scale is None:
        return weight.astype(np.float64)
    return weight * scale[1].reshape(-1, *([1] * (weight.ndim - 1))).astype(np.float64)


def _requantise(model: Model, node: onnx.NodeProto, step: Array) -> None:
    """Round a weight to whole `step`s, one for each output channel, as far as its form allows."""
    real = _real_weight(model, node)
    wide = step.reshape(-1, *([1] * (real.ndim - 1)))
    coarse = np.rint(real / wide) * wide
    name, weight = known_weight(model, node)
    scale = weight_scale(model, node)
    if scale is None:
        set_constant(model, name, coarse.astype(weight.dtype))
        return
    set_constant(model, name, np.clip(np.rint(real / wide), -128, 127).astype(weight.dtype))
    set_constant(model, scale[0], np.broadcast_to(step, scale[1].shape).astype(scale[1].dtype))


def per_tensor_weights(model: Model, rng: Rng) -> str | None:
    """Give all output channels one scale, as wide as an outlier in one of them asks for."""
    node = _layer(model, rng, 9, ("Conv",))
    if node is None:
        return None
    real = _real_weight(model, node)
    largest = abs(real.reshape(len(real), -1)).max(1)
    step = largest.max() * rng.uniform(4, 10) / 127
    _requantise(model, node, np.full(len(real), step))
    return str(node.output[0])


def four_bit_weights(model: Model, rng: Rng) -> str | None:
    """Round weights to 4 bits."""
    node = _layer(model, rng, 9)
    if node is None:
        return None
    real = _real_weight(model, node)
    _requantise(model, node, abs(real.reshape(len(real), -1)).max(1) / 7)
    return str(node.output[0])


def scale_of_another_axis(model: Model, rng: Rng) -> str | None:
    """Put the scales of a quantised weight into another order, as when they are read along another axis."""
    found = [
        n
        for n in nodes(model, "Conv", "Gemm")
        if (s := weight_scale(model, n)) is not None and s[1].size > 3 and np.ptp(s[1]) > 0
    ]
    node = one_of(found, rng)
    if node is None:
        return None
    if (found_scale := weight_scale(model, node)) is not None:
        set_constant(model, found_scale[0], rng.permutation(found_scale[1]))
    return str(node.output[0])


def truncated_weights(model: Model, rng: Rng) -> str | None:
    """Round a layer's weights down instead of to the nearest step, and correct no bias for that.

    Each error of a channel then has the same sign, so that the channel's mean moves.
    """
    node = _layer(model, rng, 64, ("Conv",))
    if node is None:
        return None
    real = _real_weight(model, node)
    step = 1.5 * abs(real.reshape(len(real), -1)).max(1) / 127
    wide = step.reshape(-1, *([1] * (real.ndim - 1)))
    name, weight = known_weight(model, node)
    scale = weight_scale(model, node)
    if scale is None:
        return None
    set_constant(model, name, np.clip(np.floor(real / wide), -128, 127).astype(weight.dtype))
    set_constant(model, scale[0], np.broadcast_to(step, scale[1].shape).astype(scale[1].dtype))
    return str(node.output[0])


def _biased(model: Model) -> list[onnx.NodeProto]:
    known = constants(model)
    return [
        n
        for n in nodes(model, "Conv", "Gemm")
        if len(n.input) > 2 and n.input[2] in known and abs(known[n.input[2]]).max() > 0
    ]


def no_bias(model: Model, rng: Rng) -> str | None:
    """Leave out a bias."""
    node = one_of(_biased(model), rng)
    if node is None:
        return None
    set_constant(model, node.input[2], np.zeros_like(constants(model)[node.input[2]]))
    return str(node.output[0])


def scaled_bias(model: Model, rng: Rng) -> str | None:
    """Give a bias another scale than the sum that it is added to."""
    node = one_of(_biased(model), rng)
    if node is None:
        return None
    bias = constants(model)[node.input[2]]
    set_constant(model, node.input[2], (bias * rng.choice([0.25, 4.0])).astype(bias.dtype))
    return str(node.output[0])


def other_norm(model: Model, rng: Rng) -> str | None:
    """Fold other statistics of a norm into a convolution: each channel gets a gain and a shift."""
    node = one_of([n for n in _biased(model) if n.op_type == "Conv"], rng)
    if node is None:
        return None
    count = len(constants(model)[node.input[2]])
    gain = np.exp(rng.normal(0, 0.5, count))
    scale = weight_scale(model, node)
    if scale is not None and scale[1].size == count:
        set_constant(model, scale[0], (scale[1] * gain).astype(np.float32))
    else:
        name, weight = known_weight(model, node)
        if not np.issubdtype(weight.dtype, np.floating):
            return None
        set_constant(model, name, (weight * gain.reshape(-1, 1, 1, 1)).astype(weight.dtype))
    bias = constants(model)[node.input[2]]
    shift = rng.normal(0, abs(bias).mean(), count)
    set_constant(model, node.input[2], (bias * gain + shift).astype(bias.dtype))
    return str(node.output[0])
