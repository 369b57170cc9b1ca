"""The kinds of faults, each as a change of an ONNX graph at a place drawn at random.

A planter returns the name of the node or tensor that it changed, or None where a network has no place for it.
The kinds are the words of `pipeline.difference.fault_kind`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper

from benchmarks.planted.rewiring import (
    Array,
    Model,
    constants,
    insert_behind,
    known_weight,
    nodes,
    producer,
    set_constant,
    weight_of,
    weight_scale,
)

Rng = np.random.Generator
Planter = Callable[[Model, Rng], str | None]

LAYERS = ("Conv", "Gemm", "MatMul", "ConvTranspose")


def _pick(found: list[Any], rng: Rng) -> Any:  # noqa: ANN401 -- of any list
    return found[int(rng.integers(len(found)))] if found else None


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


def _layer(model: Model, rng: Rng, least: int = 1, types: tuple[str, ...] = LAYERS) -> onnx.NodeProto | None:
    """Draw a layer with constant weights of at least so many values in each output channel."""
    found = []
    for node in nodes(model, *types):
        weight = weight_of(model, node)
        if weight is not None and weight[1].ndim >= 2 and weight[1][0].size >= least:
            found.append(node)
    picked: onnx.NodeProto | None = _pick(found, rng)
    return picked


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
    node = _pick(spatial, rng)
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
    node = _pick(found, rng)
    if node is None:
        return None
    if (found_scale := weight_scale(model, node)) is not None:
        set_constant(model, found_scale[0], rng.permutation(found_scale[1]))
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
    node = _pick(_biased(model), rng)
    if node is None:
        return None
    set_constant(model, node.input[2], np.zeros_like(constants(model)[node.input[2]]))
    return str(node.output[0])


def scaled_bias(model: Model, rng: Rng) -> str | None:
    """Give a bias another scale than the sum that it is added to."""
    node = _pick(_biased(model), rng)
    if node is None:
        return None
    bias = constants(model)[node.input[2]]
    set_constant(model, node.input[2], (bias * rng.choice([0.25, 4.0])).astype(bias.dtype))
    return str(node.output[0])


def other_norm(model: Model, rng: Rng) -> str | None:
    """Fold other statistics of a norm into a convolution: each channel gets a gain and a shift."""
    node = _pick([n for n in _biased(model) if n.op_type == "Conv"], rng)
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


def _set(node: onnx.NodeProto, name: str, value: object) -> None:
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def _get(node: onnx.NodeProto, name: str, default: Any) -> Any:  # noqa: ANN401 -- as ONNX attributes are
    found = [helper.get_attribute_value(one) for one in node.attribute if one.name == name]
    return found[0] if found else default


def padding_side(model: Model, rng: Rng) -> str | None:
    """Pad on the far side only, as SAME_UPPER does with stride 2."""
    padded = [n for n in nodes(model, "Conv", "MaxPool") if list(_get(n, "pads", [])) == [1, 1, 1, 1]]
    strided = [n for n in padded if max(_get(n, "strides", [1, 1])) > 1]
    node = _pick(strided or padded, rng)
    if node is None:
        return None
    _set(node, "pads", [0, 0, 2, 2])
    return str(node.output[0])


def dilated(model: Model, rng: Rng) -> str | None:
    """Dilate a convolution, with the padding that keeps its size."""
    found = [
        n
        for n in nodes(model, "Conv")
        if list(_get(n, "pads", [])) == [1, 1, 1, 1]
        and max(_get(n, "dilations", [1, 1])) == 1
        and list(_get(n, "kernel_shape", [])) == [3, 3]
    ]
    node = _pick(found, rng)
    if node is None:
        return None
    _set(node, "dilations", [2, 2])
    _set(node, "pads", [2, 2, 2, 2])
    return str(node.output[0])


def no_activation(model: Model, rng: Rng) -> str | None:
    """Leave out an activation."""
    node = _pick(nodes(model, "Relu", "Clip", "HardSwish"), rng)
    if node is None:
        return None
    node.CopyFrom(helper.make_node("Identity", [node.input[0]], [node.output[0]], node.name))
    return str(node.output[0])


def other_activation(model: Model, rng: Rng) -> str | None:
    """Take a leaky ReLU for a ReLU."""
    node = _pick(nodes(model, "Relu"), rng)
    if node is None:
        return None
    node.CopyFrom(helper.make_node("LeakyRelu", [node.input[0]], [node.output[0]], node.name, alpha=0.2))
    return str(node.output[0])


def no_residual(model: Model, rng: Rng) -> str | None:
    """Leave out a skip connection."""
    known = constants(model)
    adds = [n for n in nodes(model, "Add") if not any(name in known for name in n.input)]
    node = _pick(adds, rng)
    if node is None:
        return None
    node.CopyFrom(helper.make_node("Identity", [node.input[0]], [node.output[0]], node.name))
    return str(node.output[0])


def half_overflow(model: Model, rng: Rng) -> str | None:
    """Compute a tensor in half precision, where its largest values leave the range."""
    node = _pick(nodes(model, "Relu", "Clip", "Add"), rng)
    if node is None:
        return None
    factor = np.float32(rng.uniform(2e4, 6e4))
    insert_behind(
        model,
        node.output[0],
        [
            ("Mul", [np.asarray(factor)], {}),
            ("Cast", [], {"to": onnx.TensorProto.FLOAT16}),
            ("Cast", [], {"to": onnx.TensorProto.FLOAT}),
            ("Mul", [np.asarray(1 / factor)], {}),
        ],
    )
    return str(node.output[0])


def shuffled_channels(model: Model, rng: Rng) -> str | None:
    """Put the channels of a tensor into another order, as a wrong layout does."""
    node = _pick(nodes(model, "Relu", "Clip"), rng)
    if node is None:
        return None
    reader = next((n for n in nodes(model, "Conv") if _reads(model, n, node.output[0])), None)
    weight = None if reader is None or _get(reader, "group", 1) != 1 else weight_of(model, reader)
    if weight is None:
        return None
    insert_behind(model, node.output[0], [("Gather", [rng.permutation(weight[1].shape[1])], {"axis": 1})])
    return str(node.output[0])


def _reads(model: Model, node: onnx.NodeProto, tensor: str) -> bool:
    """Whether a node reads a tensor, directly or through QuantizeLinear and DequantizeLinear."""
    name = node.input[0]
    while name != tensor:
        source = producer(model, name)
        if source is None or source.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            return False
        name = source.input[0]
    return True


def other_pooling(model: Model, rng: Rng) -> str | None:
    """Take the maximum where the mean is wanted."""
    node = _pick(nodes(model, "GlobalAveragePool"), rng)
    if node is None:
        return None
    node.op_type = "GlobalMaxPool"
    return str(node.output[0])


def resize_corners(model: Model, rng: Rng) -> str | None:
    """Align corners in a Resize that does not, or the reverse."""
    node = _pick(nodes(model, "Resize"), rng)
    if node is None:
        return None
    now = _get(node, "coordinate_transformation_mode", b"half_pixel")
    _set(node, "coordinate_transformation_mode", "half_pixel" if now == b"align_corners" else "align_corners")
    _set(node, "mode", "linear")
    return str(node.output[0])


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
    pair = _pick(_pairs(model), rng)
    return None if pair is None else _rescale(model, rng.uniform(0.1, 0.3), pair, both=True)


def coarse_activation(model: Model, rng: Rng) -> str | None:
    """Give a tensor a range that is far too wide."""
    pair = _pick(_pairs(model), rng)
    return None if pair is None else _rescale(model, rng.uniform(12, 30), pair, both=True)


def other_scale_behind(model: Model, rng: Rng) -> str | None:
    """Dequantise with another scale than was quantised with."""
    pair = _pick(_pairs(model), rng)
    return None if pair is None else _rescale(model, rng.choice([0.7, 1.4]), pair, both=False)


def other_zero_point(model: Model, rng: Rng) -> str | None:
    """Dequantise around another zero point."""
    pair = _pick(_pairs(model), rng)
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


def class_order(model: Model, rng: Rng) -> str | None:
    """Number the classes in another order."""
    output = model.graph.output[0]
    count = output.type.tensor_type.shape.dim[1].dim_value
    if count < 3:
        return None
    insert_behind(model, output.name, [("Gather", [rng.permutation(count)], {"axis": 1})])
    return str(output.name)


def softmax(model: Model, _: Rng) -> str:
    """Put a softmax behind the logits."""
    name = model.graph.output[0].name
    insert_behind(model, name, [("Softmax", [], {"axis": 1})])
    return str(name)


PLANTERS: dict[str, tuple[str, Planter]] = {
    "bgr": ("channel order of the picture", bgr),
    "mean": ("normalisation", mean),
    "std": ("normalisation", std),
    "range": ("normalisation", value_range),
    "limited range": ("normalisation", limited_colour_range),
    "mirrored": ("picture geometry", mirrored),
    "shifted": ("picture geometry", shifted_picture),
    "other weights": ("weights", other_weights),
    "flipped kernel": ("kernel orientation", flipped_kernel),
    "per-tensor weights": ("weight precision", per_tensor_weights),
    "4-bit weights": ("weight precision", four_bit_weights),
    "scale of another axis": ("weight scales", scale_of_another_axis),
    "no bias": ("bias", no_bias),
    "scaled bias": ("bias", scaled_bias),
    "other norm": ("norm", other_norm),
    "padding side": ("padding", padding_side),
    "dilation": ("window", dilated),
    "no activation": ("activation", no_activation),
    "leaky activation": ("activation", other_activation),
    "no residual": ("missing operand", no_residual),
    "half overflow": ("half precision", half_overflow),
    "shuffled channels": ("channel order inside", shuffled_channels),
    "other pooling": ("pooling", other_pooling),
    "resize corners": ("resize", resize_corners),
    "clipped range": ("clipped range", clipped_range),
    "coarse activation": ("coarse range", coarse_activation),
    "scale behind": ("scale", other_scale_behind),
    "zero point": ("zero point", other_zero_point),
    "class order": ("class order", class_order),
    "softmax": ("output function", softmax),
}
"""Each fault with the kind that has to be named."""
