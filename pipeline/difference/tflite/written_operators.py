"""The operators of .tflite files in ONNX."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.difference.tflite.flatbuffer import StoredOperator
from pipeline.difference.tflite.graph_writer import TO_PIXELS, TO_PLANES, GraphWriter

SAME = 0
"""`Padding` of the schema."""
_WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D")
_FUSED = {1: "Relu", 3: "Clip", 4: "Tanh"}
"""`ActivationFunctionType` of the schema."""


def write_operator(writer: GraphWriter, op: StoredOperator) -> None:
    """Write one operator. Raises ValueError for one that is not read here."""
    if op.kind not in _WRITERS:
        known = ", ".join(sorted(_WRITERS))
        raise ValueError(f"its operator {op.kind} is not read here; those that are: {known}")
    made = _WRITERS[op.kind](writer, op)
    if made is not None:
        writer.finish(op.outputs[0], made)


def _activated(writer: GraphWriter, op: StoredOperator, made: Callable[[str], str]) -> str:
    """Write an operator with the activation that is fused into it."""
    name, fused = writer.tensor(op.outputs[0]).name, op.options.get("fusedActivationFunction", 0)
    if fused == 0:
        return made(name)
    if fused not in _FUSED:
        raise ValueError(f"the activation {fused} of {name} is not read here")
    return _activation(writer, _FUSED[fused], made(f"{name}/sum"), name)


def _activation(writer: GraphWriter, operator: str, before: str, name: str) -> str:
    inputs = [before]
    if operator == "Clip":
        inputs += [
            writer.constant(f"{name}/{word}", np.asarray(limit, np.float32))
            for word, limit in (("low", 0), ("high", 6))
        ]
    return writer.add(operator, inputs, name)


def _pads(op: StoredOperator, size: tuple[int, ...], kernel: tuple[int, int]) -> list[int]:
    """Return ONNX's pads of a window. SAME: as much as ceil(size / stride) outputs need, the rest behind."""
    if op.options["padding"] != SAME:
        return [0, 0, 0, 0]
    found = []
    for side, taps, stride, rate in zip(size, kernel, _strides(op), _dilations(op), strict=True):
        reach = (taps - 1) * rate + 1
        found.append(max(0, (-(-side // stride) - 1) * stride + reach - side))
    return [found[0] // 2, found[1] // 2, found[0] - found[0] // 2, found[1] - found[1] // 2]


def _strides(op: StoredOperator) -> list[int]:
    return [int(op.options["strideH"]), int(op.options["strideW"])]


def _dilations(op: StoredOperator) -> list[int]:
    return [int(op.options.get("dilationHFactor", 1)), int(op.options.get("dilationWFactor", 1))]


def _weight(writer: GraphWriter, index: int, order: tuple[int, ...], axis: int) -> str:
    """Write a weight; `axis` is that of the output channels in the file, which come first in ONNX."""
    tensor = writer.tensor(index)
    if tensor.value is None or tensor.grid is None:
        value = writer.value(index)
        if value is None:
            raise ValueError(f"the weight {tensor.name} is computed")
        return writer.constant(tensor.name, value.astype(np.float32).transpose(order))
    if tensor.grid.scale.size > 1 and tensor.grid.axis != axis:
        raise ValueError(f"the weight {tensor.name} has scales along axis {tensor.grid.axis}")
    integers = writer.constant(f"{tensor.name}/integers", tensor.value.transpose(order))
    shared = tensor.grid.scale.size == 1
    scale = writer.constant(f"{tensor.name}/scale", tensor.grid.scale.reshape(() if shared else -1))
    zero = tensor.grid.zero.astype(tensor.kind).reshape(() if shared else -1)
    named = [integers, scale, writer.constant(f"{tensor.name}/zero", zero)]
    return writer.add("DequantizeLinear", named, tensor.name, axis=0)


def _bias(writer: GraphWriter, op: StoredOperator) -> list[str]:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return []
    value = writer.value(op.inputs[2])
    if value is None:
        raise ValueError(f"the bias {writer.tensor(op.inputs[2]).name} is computed")
    name = f"{writer.tensor(op.inputs[2]).name}/of {op.outputs[0]}"
    return [writer.constant(name, value.astype(np.float32).reshape(-1))]


def _convolution(writer: GraphWriter, op: StoredOperator) -> str:
    source, depthwise = op.inputs[0], op.kind == "DEPTHWISE_CONV_2D"
    _, *kernel, last = writer.tensor(op.inputs[1]).shape
    pads = _pads(op, writer.tensor(source).shape[1:3], (kernel[0], kernel[1]))
    if source in writer.padded and op.options["padding"] != SAME:
        source, around = writer.padded[source]
        pads = list(around)
    read = writer.source(source)
    channels = writer.tensor(source).shape[3]
    order, axis, groups = ((3, 0, 1, 2), 3, channels) if depthwise else (TO_PLANES, 0, channels // last)
    inputs = [read, _weight(writer, op.inputs[1], order, axis), *_bias(writer, op)]
    attributes = {
        "kernel_shape": kernel,
        "pads": pads,
        "strides": _strides(op),
        "dilations": _dilations(op),
        "group": groups,
    }
    return _activated(writer, op, lambda name: writer.add("Conv", inputs, name, **attributes))


def _fully_connected(writer: GraphWriter, op: StoredOperator) -> str:
    read = writer.last(op.inputs[0])
    shape = writer.tensor(op.inputs[0]).shape
    if len(shape) != 2:
        read = writer.add("Flatten", [read], f"{read}/flat")
    inputs = [read, _weight(writer, op.inputs[1], (0, 1), 0), *_bias(writer, op)]
    return _activated(writer, op, lambda name: writer.add("Gemm", inputs, name, transB=1))


def _pooling(writer: GraphWriter, op: StoredOperator) -> str:
    kernel = (int(op.options["filterHeight"]), int(op.options["filterWidth"]))
    size = writer.tensor(op.inputs[0]).shape[1:3]
    read, average = writer.source(op.inputs[0]), op.kind == "AVERAGE_POOL_2D"
    if kernel == size and not any(pads := _pads(op, size, kernel)):
        kind = "GlobalAveragePool" if average else "GlobalMaxPool"
        return _activated(writer, op, lambda name: writer.add(kind, [read], name))
    pads = _pads(op, size, kernel)
    attributes = {"kernel_shape": kernel, "pads": pads, "strides": _strides(op)}
    kind = "AveragePool" if average else "MaxPool"
    return _activated(writer, op, lambda name: writer.add(kind, [read], name, **attributes))


def _mean(writer: GraphWriter, op: StoredOperator) -> str:
    axes, shape = writer.value(op.inputs[1]), writer.tensor(op.inputs[0]).shape
    found = [] if axes is None else sorted(int(axis) % len(shape) for axis in axes.ravel())
    if len(shape) != 4 or found != [1, 2]:
        raise ValueError(f"MEAN over the axes {found} is not read here")
    name, read = writer.tensor(op.outputs[0]).name, writer.source(op.inputs[0])
    if op.options.get("keepDims"):
        return writer.add("GlobalAveragePool", [read], name)
    return writer.add("Flatten", [writer.add("GlobalAveragePool", [read], f"{name}/mean")], name)


def _pad(writer: GraphWriter, op: StoredOperator) -> str | None:
    """Write a padding; one of height and width alone is left to the convolution that reads it."""
    widths = writer.value(op.inputs[1])
    if widths is None or widths.shape != (len(writer.tensor(op.inputs[0]).shape), 2):
        raise ValueError("PAD with computed widths is not read here")
    if len(widths) == 4 and not widths[[0, 3]].any():
        (top, bottom), (left, right) = widths[1:3].astype(int).tolist()
        writer.padded[op.outputs[0]] = (op.inputs[0], (top, left, bottom, right))
        return None
    order = list(TO_PLANES) if len(widths) == 4 else list(range(len(widths)))
    name, pads = writer.tensor(op.outputs[0]).name, widths[order].T.ravel().astype(np.int64)
    return writer.add("Pad", [writer.source(op.inputs[0]), writer.constant(f"{name}/pads", pads)], name)


def _strided_slice(writer: GraphWriter, op: StoredOperator) -> str:
    rank, name = len(writer.tensor(op.inputs[0]).shape), writer.tensor(op.outputs[0]).name
    found = [writer.value(index) for index in op.inputs[1:4]]
    masks = ("ellipsisMask", "newAxisMask", "shrinkAxisMask")
    if any(one is None or one.size != rank for one in found) or any(op.options.get(one) for one in masks):
        raise ValueError(f"the STRIDED_SLICE of {name} is not read here")
    first, last, steps = (np.array(one, np.int64) for one in found)
    everything = np.iinfo(np.int64)
    for axis in range(rank):
        backwards = steps[axis] < 0
        if op.options.get("beginMask", 0) >> axis & 1:
            first[axis] = everything.max if backwards else 0
        if op.options.get("endMask", 0) >> axis & 1:
            last[axis] = everything.min if backwards else everything.max
    order = list(TO_PLANES) if rank == 4 else list(range(rank))
    first[0], last[0], steps[0] = 0, everything.max, 1  # all pictures
    limits = zip(("starts", "ends"), (first, last), strict=True)
    inputs = [writer.constant(f"{name}/{word}", one[order]) for word, one in limits]
    inputs += [
        writer.constant(f"{name}/axes", np.arange(rank)),
        writer.constant(f"{name}/steps", steps[order]),
    ]
    return writer.add("Slice", [writer.source(op.inputs[0]), *inputs], name)


def _quantize(writer: GraphWriter, op: StoredOperator) -> str:
    return writer.source(op.inputs[0])


def _dequantize(writer: GraphWriter, op: StoredOperator) -> str | None:
    value = writer.value(op.inputs[0])
    if value is not None:
        writer.known[op.outputs[0]] = value.astype(np.float32)
        return None
    return writer.source(op.inputs[0])


def _reshape(writer: GraphWriter, op: StoredOperator) -> str:
    shape, name = writer.tensor(op.outputs[0]).shape, writer.tensor(op.outputs[0]).name
    read = writer.last(op.inputs[0])
    if len(shape) == 2:
        return writer.add("Flatten", [read], name)
    wanted = writer.constant(f"{name}/shape", np.array([0, *shape[1:]], np.int64))
    if len(shape) != 4:
        return writer.add("Reshape", [read, wanted], name)
    return writer.add(
        "Transpose", [writer.add("Reshape", [read, wanted], f"{name}/last")], name, perm=TO_PLANES
    )


def _transpose(writer: GraphWriter, op: StoredOperator) -> str:
    order = writer.value(op.inputs[1])
    read, name = writer.source(op.inputs[0]), writer.tensor(op.outputs[0]).name
    if order is None:
        raise ValueError(f"the order of {name} is computed")
    if order.size == 4:
        order = np.array([TO_PIXELS[int(order[p])] for p in TO_PLANES])
    if (order == np.arange(order.size)).all():
        return read
    return writer.add("Transpose", [read], name, perm=[int(axis) for axis in order])


def _binary(writer: GraphWriter, op: StoredOperator) -> str:
    operator = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}[op.kind]
    wide = any(writer.is_map(index) for index in op.inputs)
    inputs = []
    for index in op.inputs:
        value = writer.value(index)
        if wide and value is not None and value.ndim == 1:
            name = f"{writer.tensor(index).name}/of {op.outputs[0]}"
            inputs.append(writer.constant(name, value.reshape(1, -1, 1, 1).astype(np.float32)))
        else:
            inputs.append(writer.source(index))
    return _activated(writer, op, lambda name: writer.add(operator, inputs, name))


def _concatenation(writer: GraphWriter, op: StoredOperator) -> str:
    rank = len(writer.tensor(op.outputs[0]).shape)
    axis = int(op.options["axis"]) % rank
    if rank == 4:
        axis = TO_PLANES.index(axis)
    inputs = [writer.source(index) for index in op.inputs]
    return _activated(writer, op, lambda name: writer.add("Concat", inputs, name, axis=axis))


def _resize(writer: GraphWriter, op: StoredOperator) -> str:
    name, read = writer.tensor(op.outputs[0]).name, writer.source(op.inputs[0])
    before, after = writer.tensor(op.inputs[0]).shape, writer.tensor(op.outputs[0]).shape
    factors = np.array([1, 1, after[1] / before[1], after[2] / before[2]], np.float32)
    centres = op.options.get("halfPixelCenters")
    form = "align_corners" if op.options.get("alignCorners") else "half_pixel" if centres else "asymmetric"
    attributes: dict[str, Any] = {"coordinate_transformation_mode": form, "mode": "linear"}
    if op.kind == "RESIZE_NEAREST_NEIGHBOR":
        attributes |= {"mode": "nearest", "nearest_mode": "round_prefer_ceil" if centres else "floor"}
    return writer.add("Resize", [read, "", writer.constant(f"{name}/factors", factors)], name, **attributes)


def _unary(operator: str, **attributes: object) -> Callable[[GraphWriter, StoredOperator], str]:
    def write(writer: GraphWriter, op: StoredOperator) -> str:
        name, read = writer.tensor(op.outputs[0]).name, writer.source(op.inputs[0])
        if operator in ("Clip", "Relu"):
            return _activation(writer, operator, read, name)
        return writer.add(operator, [read], name, **attributes)

    return write


def _leaky(writer: GraphWriter, op: StoredOperator) -> str:
    name, read = writer.tensor(op.outputs[0]).name, writer.source(op.inputs[0])
    return writer.add("LeakyRelu", [read], name, alpha=float(op.options["alpha"]))


def _softmax(writer: GraphWriter, op: StoredOperator) -> str:
    axis = 1 if writer.is_map(op.inputs[0]) else -1
    return writer.add("Softmax", [writer.source(op.inputs[0])], writer.tensor(op.outputs[0]).name, axis=axis)


_WRITERS: dict[str, Callable[[GraphWriter, StoredOperator], str | None]] = {
    **dict.fromkeys(_WINDOWED, _convolution),
    "FULLY_CONNECTED": _fully_connected,
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _pooling),
    "MEAN": _mean,
    "PAD": _pad,
    "STRIDED_SLICE": _strided_slice,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    **dict.fromkeys(("RESHAPE", "SQUEEZE"), _reshape),
    "TRANSPOSE": _transpose,
    **dict.fromkeys(("ADD", "SUB", "MUL"), _binary),
    "CONCATENATION": _concatenation,
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _resize),
    "RELU": _unary("Relu"),
    "RELU6": _unary("Clip"),
    "TANH": _unary("Tanh"),
    "LOGISTIC": _unary("Sigmoid"),
    "HARD_SWISH": _unary("HardSwish"),
    "LEAKY_RELU": _leaky,
    "SOFTMAX": _softmax,
}
