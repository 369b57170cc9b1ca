"""Translates operators that move channels to integers: concatenation, slices, padding."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.errors import EngineError, NoIntegerForm
from targets.tvm.convert import quantized
from targets.tvm.integer_graph import Operator
from targets.tvm.operators.assembling import Assemble, Piece
from targets.tvm.tensors import Tensor
from targets.tvm.values import Attributes, Constant, Epilogue, Pending, Quantized, Reader, SameGrid, Value


def concat(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """Concat along the channels; each input comes from its own grid."""
    parts = [x for x in operands if isinstance(x, Quantized)]
    if len(parts) != len(operands) or attributes.get("axis") not in (1, -3):
        raise NoIntegerForm(f"{node} needs quantised inputs and axis 1, the channels.")
    height, width, _ = parts[0].shape
    tensors = [x.whole(node) for x in parts]
    if any((t.height, t.width) != (height, width) for t in tensors):
        raise NoIntegerForm(f"{node} joins flattened maps of different sizes.")
    starts = [sum(t.channels for t in tensors[:i]) for i in range(len(tensors))]

    def finish(end: Epilogue) -> Operator:
        pieces = tuple(
            Piece(
                t,
                float(np.float32(x.scale / end.scale)),
                start,
                affine=end.affine(x.scale, start, t.channels),
            )
            for x, t, start in zip(parts, tensors, starts, strict=True)
        )
        return Assemble(node, end.output, pieces, end.clip)

    shape = (height, width, starts[-1] + tensors[-1].channels)
    return Pending(node, shape, finish, scalable=True)


def strided_slice(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- has none
    """Slice that takes every n-th row and column, as in a shortcut without parameters."""
    x = quantized(node, operands[:1])
    match [v.value.tolist() for v in operands[1:] if isinstance(v, Constant)]:
        case [starts, ends, axes, steps] if len(operands) == 5:
            stride = list(x.stride)
            for start, end, axis, by in zip(starts, ends, axes, steps, strict=True):
                length = (1, x.shape[2], x.shape[0], x.shape[1])[axis % 4]
                if start or end < length or (by != 1 and axis % 4 < 2) or not 0 < by < length + 1:
                    raise NoIntegerForm(
                        f"{node}: only whole rows and columns with a step have an integer form."
                    )
                if axis % 4 >= 2:
                    stride[axis % 4 - 2] *= by
            return replace(x, stride=(stride[0], stride[1]))
    raise NoIntegerForm(f"{node} needs constant starts, ends, axes and steps.")


def pad(node: str, operands: list[Value], attributes: Attributes) -> SameGrid:
    """Pad with zero channels: a copy into a wider tensor."""
    match operands:
        case [Quantized() as x, Constant(pads), *fill]:
            return _pad_channels(node, x, pads, fill, attributes)
    raise NoIntegerForm(f"{node} needs a quantised input and constant pads.")


def _pad_channels(
    node: str, x: Quantized, pads: NDArray[Any], fill: list[Value], attributes: Attributes
) -> SameGrid:
    zero = all(not np.any(v.value) for v in fill if isinstance(v, Constant))
    amounts = [int(p) for p in pads.ravel()]
    if len(amounts) != 8 or any(amounts[i] for i in (0, 2, 3, 4, 6, 7)) or min(amounts) < 0 or not zero:
        raise NoIntegerForm(f"{node}: only zero channels can be padded (pads {amounts}).")
    if attributes.get("mode", b"constant") != b"constant":
        raise NoIntegerForm(f"{node}: only constant padding has an integer form.")
    height, width, channels = x.shape

    def finish(name: str) -> Assemble:
        output = Tensor(name, height, width, channels + amounts[1] + amounts[5], (x.tensor.zero,))
        return Assemble(node, output, (Piece(x.tensor, 1.0, amounts[1], x.stride),))

    return SameGrid(x, finish)


def flatten(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """Flatten to [N, features]."""
    if attributes.get("axis", 1) != 1:
        raise NoIntegerForm(f"{node}: only flattening to [N, features] has an integer form.")
    return _flat(node, operands)


def reshape(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- allowzero
    """Reshape to [N, features]."""
    match operands:
        case [_, Constant(shape)] if shape.size == 2:
            return _flat(node, operands)
    raise NoIntegerForm(f"{node}: only flattening to [N, features] has an integer form.")


def squeeze(node: str, operands: list[Value], attributes: Attributes) -> Value:
    """Squeeze of height and width, to [N, features]."""
    axes = attributes.get("axes", ())
    if len(operands) > 1 and isinstance(operands[1], Constant):
        axes = operands[1].value.ravel().tolist()
    if sorted(a % 4 for a in axes) != [2, 3]:
        raise NoIntegerForm(f"{node}: only squeezing height and width has an integer form.")
    return _flat(node, operands)


def _flat(node: str, operands: list[Value]) -> Value:
    match operands:
        case [Quantized() as x, *_]:
            return replace(x, flat=True)
        case [Pending() as p, *_]:
            return replace(p, flat=True)
    raise NoIntegerForm(f"{node} needs a quantised input.")


def identity(node: str, operands: list[Value], attributes: Attributes) -> Value:  # noqa: ARG001 -- nothing matters
    """Identity, and Dropout in inference."""
    if not operands:
        raise EngineError(f"{node} has no input.")
    return operands[0]


READERS: dict[str, Reader] = {
    "Concat": concat,
    "Slice": strided_slice,
    "Pad": pad,
    "Flatten": flatten,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Identity": identity,
    "Dropout": identity,
}
