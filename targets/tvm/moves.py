"""Operators that only move values: any chain of them becomes one table of source indices.

A shuffle of channels is Reshape, Transpose, Reshape, a split is Split or Slices. Each node is applied to the
indices of a quantised tensor's values. A reader of the result gets rows, columns and channels of that tensor.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from targets.errors import EngineError, NoIntegerForm
from targets.tvm.bounded_read import attributes, label
from targets.tvm.operators.resizing import Pick
from targets.tvm.tensors import Int32s, Tensor
from targets.tvm.values import Constant, MovedValues, Quantized, Value

MOVES = frozenset(
    {"Reshape", "Transpose", "Split", "Slice", "Gather", "Squeeze", "Unsqueeze", "Flatten", "Pad"}
)
_LARGEST = 1 << 24
"""The most values of a tensor. For more, making the table takes longer than it saves."""


def read(node: onnx.NodeProto, operands: Mapping[str, Value]) -> tuple[MovedValues, ...] | None:
    """Return the value of a node that moves values of a quantised tensor; None for others."""
    if node.op_type not in MOVES or (node.op_type == "Pad" and _fills(node)):
        return None
    name, *others = node.input
    match operands.get(name):
        case Quantized() as source if len(source.tensor.zero_point) == 1 and not source.tensor.wide:
            places = _all(source)
        case MovedValues(source, places):
            pass
        case _:
            return None
    constants = {other: operands[other] for other in others if other}
    if not all(isinstance(value, Constant) for value in constants.values()) or places.size > _LARGEST:
        return None
    if node.op_type == "Flatten" and not -places.ndim <= attributes(node).get("axis", 1) <= places.ndim:
        raise EngineError(f"{label(node)} flattens at axis {attributes(node)['axis']} of {places.ndim}")
    feeds = {n: value.value for n, value in constants.items() if isinstance(value, Constant)}
    try:
        found = ReferenceEvaluator(node).run(None, {name: places, **feeds})
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        raise EngineError(f"{label(node)} cannot be computed: {error}") from error
    return tuple(MovedValues(source, np.asarray(moved, np.int32)) for moved in found)


def at_rest(node: str, name: str, moved: MovedValues) -> tuple[Quantized, Pick | None]:
    """The tensor of these values, and the operator that writes it where none has; `name` is ONNX's.

    Raises NoIntegerForm where values are in another order than that of rows, columns and channels.
    """
    source, places = moved.source, moved.places
    if np.array_equal(places, _all(source)):
        return source, None
    tensor, size = source.tensor, source.tensor.height * source.tensor.width
    flat = places.ndim == 2
    if flat and len(places) != 1:
        raise NoIntegerForm(f"{node} gives the shape {list(places.shape)}, which is not a row of one image.")
    if flat and np.array_equal(places.ravel(), np.arange(size * tensor.channels)):
        return Quantized(tensor, source.scale, flat=True), None
    cube = places.reshape(*places.shape, 1, 1) if flat else places
    if cube.ndim != 4 or len(cube) != 1 or not cube.size:
        raise NoIntegerForm(f"{node} gives the shape {list(places.shape)}, which is not a map of one image.")
    channels = cube[0, :, 0, 0] // size
    rows, columns = cube[0, 0, :, 0] % size // tensor.width, cube[0, 0, 0, :] % tensor.width
    whole = channels[:, None, None] * size + rows[:, None] * tensor.width + columns
    if not np.array_equal(whole, cube[0]):
        raise NoIntegerForm(f"{node} mixes pixels and channels of {tensor.name}.")
    output = Tensor(f"{name} in integers", len(rows), len(columns), len(channels), tensor.zero_point)
    pick = Pick(node, tensor, output, *(part.astype(np.int32) for part in (rows, columns, channels)))
    return Quantized(output, source.scale, flat=flat), pick


def _all(source: Quantized) -> Int32s:
    """The place of every value, in ONNX's shape."""
    t, (down, right) = source.tensor, source.stride
    places = np.arange(t.channels * t.height * t.width, dtype=np.int32)
    cube = places.reshape(1, t.channels, t.height, t.width)[:, :, ::down, ::right]
    return cube.reshape(1, -1) if source.flat else cube


def _fills(node: onnx.NodeProto) -> bool:
    """Whether a Pad adds values."""
    return bool(attributes(node).get("mode", b"constant") == b"constant")
