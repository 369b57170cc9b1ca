"""Translates ONNX's Resize to integers."""

from typing import Any

import numpy as np

from targets.errors import EngineError, NoIntegerForm
from targets.tvm import sampling
from targets.tvm.convert import quantized
from targets.tvm.integer_graph import Operator
from targets.tvm.operators.resizing import Interpolate, Pick, PixelShuffle
from targets.tvm.tensors import Int32s, Tensor
from targets.tvm.values import Attributes, Constant, Epilogue, Pending, Quantized, Reader, SameGrid, Value

_LARGEST_SIDE = 1 << 14
_EXACT = (1 << 24) // 255
"""The most parts of a pixel with which float32 holds all sums exactly."""
_PLAIN: dict[str, Any] = {"antialias": 0, "exclude_outside": 0, "keep_aspect_ratio_policy": b"stretch"}
"""Attributes, and the only value of each that has an integer form."""


def resize(node: str, operands: list[Value], attributes: Attributes) -> Value | SameGrid:
    """Resize of height and width to the nearest pixels, or between four."""
    x = quantized(node, operands[:1])
    tensor = x.whole(node)
    if x.flat or any(attributes.get(name, value) != value for name, value in _PLAIN.items()):
        raise NoIntegerForm(f"{node} has a setting without an integer form.")
    axes = _axes(node, x, operands[1:], attributes)
    mode = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    try:
        match attributes.get("mode", b"nearest"):
            case b"nearest":
                rounding = attributes.get("nearest_mode", b"round_prefer_floor").decode()
                rows, columns = (sampling.nearest(mode, rounding, *axis) for axis in axes)
                return _nearest(node, x, rows, columns)
            case b"linear":
                down, right = (sampling.linear(mode, *axis) for axis in axes)
            case other:
                raise NoIntegerForm(f"Its mode is {other.decode()}.")
    except NoIntegerForm as reason:
        raise NoIntegerForm(f"{node} has no integer form. {reason}") from reason
    parts = down.parts * right.parts
    if parts > _EXACT:
        raise NoIntegerForm(f"{node} lies between pixels in {parts} parts, more than sums hold exactly.")

    def finish(end: Epilogue) -> Operator:
        multiplier = float(np.float32(x.scale / (parts * end.scale)))
        return Interpolate(node, tensor, end.output, down, right, multiplier, end.clip)

    return Pending(node, (len(down.first), len(right.first), tensor.channels), finish)


def _nearest(node: str, x: Quantized, rows: Int32s, columns: Int32s) -> SameGrid:
    def finish(name: str) -> Pick:
        tensor = x.whole(node)
        output = Tensor(name, len(rows), len(columns), tensor.channels, tensor.zero_point)
        return Pick(node, tensor, output, rows, columns, np.arange(tensor.channels, dtype=np.int32))

    return SameGrid(x, finish)


def _axes(
    node: str, x: Quantized, given: list[Value], attributes: Attributes
) -> tuple[tuple[int, int, float], tuple[int, int, float]]:
    """Length, result's length and scale of rows and of columns. `given`: roi, scales, sizes."""
    constants = [v.value.ravel() for v in given if isinstance(v, Constant) and v.value.size]
    if not constants or len(constants) != sum(not isinstance(v, Constant) or v.value.size > 0 for v in given):
        raise NoIntegerForm(f"{node} needs constant scales or sizes.")
    wanted, sides = constants[-1], (x.shape[0], x.shape[1])
    axes = [axis % 4 for axis in attributes.get("axes", range(4))]
    if len(axes) != len(wanted):
        raise EngineError(f"{node} has {len(wanted)} scales or sizes for {len(axes)} axes.")
    by_axis = dict(zip(axes, wanted.tolist(), strict=True))
    is_size = wanted.dtype.kind == "i"
    unchanged = (1, x.shape[2]) if is_size else (1.0, 1.0)
    if any(by_axis.get(axis, unchanged[axis]) != unchanged[axis] for axis in (0, 1)):
        raise EngineError(  # TVM's float operator would leave the channels as they are
            f"{node} resizes more than height and width. Repeat channels by Concat instead."
        )
    found = []
    for axis, length in zip((2, 3), sides, strict=True):
        value = by_axis.get(axis, length if is_size else 1.0)
        scale = float(np.float32(value / length if is_size else value))
        count = int(value) if is_size else int(np.floor(np.float32(length) * np.float32(value)))
        if not 0 < count <= _LARGEST_SIDE or not np.isfinite(scale):
            raise EngineError(f"{node} makes {count} rows or columns of {length}.")
        found.append((length, count, scale))
    return found[0], found[1]


def depth_to_space(node: str, operands: list[Value], attributes: Attributes) -> SameGrid:
    """DepthToSpace: channels become pixels."""
    x = quantized(node, operands)
    tensor, block = x.whole(node), attributes.get("blocksize", 1)
    if x.flat or block < 1 or tensor.channels % block**2 or len(tensor.zero_point) > 1:
        raise NoIntegerForm(f"{node} does not fit {tensor.channels} channels.")
    channels_first = attributes.get("mode", b"DCR") == b"CRD"

    def finish(name: str) -> PixelShuffle:
        height, width = tensor.height * block, tensor.width * block
        output = Tensor(name, height, width, tensor.channels // block**2, tensor.zero_point)
        return PixelShuffle(node, tensor, output, block, channels_first)

    return SameGrid(x, finish)


READERS: dict[str, Reader] = {"Resize": resize, "DepthToSpace": depth_to_space}
