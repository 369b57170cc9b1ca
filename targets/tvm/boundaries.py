"""Boundaries between float and integer tensors: QuantizeLinear, DequantizeLinear, and the image."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from targets.errors import EngineError, NoIntegerForm
from targets.tvm import convert
from targets.tvm.bounded_read import attributes, label
from targets.tvm.integer_graph import Image
from targets.tvm.islands import GrowingGraph
from targets.tvm.operators.assembling import Assemble
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Add, Multiply
from targets.tvm.operators.float_boundary import Quantise
from targets.tvm.operators.results_on_grids import Residual
from targets.tvm.operators.window_pooling import AveragePool
from targets.tvm.tensors import Tensor
from targets.tvm.values import (
    Constant,
    Epilogue,
    MovedValues,
    Pending,
    Quantized,
    Raw,
    Real,
    Value,
    quantization_clip,
)

Array = NDArray[Any]
WRITE_WIDE = (Conv, Add, Multiply, AveragePool, Assemble)
"""Operators whose results can have 16 bits."""
BOUNDARIES = frozenset({"Transpose", "QuantizeLinear", "DequantizeLinear"})
"""ONNX operators that are read here, Transpose only in front of the image's DequantizeLinear."""
_CHANNELS_FIRST = [0, 3, 1, 2]


class Boundaries:
    """Reads the boundaries of a model, and appends the operators that write quantised tensors."""

    def __init__(self, image: Tensor, growing: GrowingGraph) -> None:
        self.image, self.growing = image, growing
        self._finished: dict[tuple[int, IntegerGrid], tuple[Pending, Quantized]] = {}
        """Results by id() of the sum and by grid. The sum is kept, so that no other gets its id."""

    def read(self, node: onnx.NodeProto, operands: list[Value]) -> Value:
        """Return a node's value. Raises NoIntegerForm, or EngineError for a grid without an integer form."""
        match node.op_type, operands:
            case "Transpose", [Raw(None)] if list(attributes(node).get("perm", [])) == _CHANNELS_FIRST:
                return Raw(None)
            case "DequantizeLinear", [Raw(None), Constant(scale), Constant(zero)]:
                return self._image_on_its_grid(node, scale, zero)
            case "DequantizeLinear", [Raw(Quantized() | MovedValues() as quantized), *_]:
                return quantized
            case "DequantizeLinear", [Constant(values), Constant(scale), *zero]:
                return convert.constant(label(node), values, scale, zero, attributes(node))
            case "QuantizeLinear", [
                Pending() | Quantized() | MovedValues() as source,
                Constant(scale),
                Constant(zero),
            ]:
                return Raw(self._quantize(node, source, scale, zero))
            case "QuantizeLinear", [Real() as real, Constant(scale), Constant(zero)] if real.is_map:
                return Raw(self._quantize_real(node, real, scale, zero))
        raise no_integer_form(node, operands)

    def _image_on_its_grid(self, node: onnx.NodeProto, scale: Array, zero: Array) -> Quantized:
        image = self.image
        scales, zeros = np.unique(scale), np.atleast_1d(zero)
        if len(scales) != 1 or zeros.dtype != np.uint8 or zeros.size not in (1, image.channels):
            raise EngineError(
                f"{label(node)}: the image needs one scale, and uint8 zero points for its channels."
            )
        points = tuple(int(z) for z in np.broadcast_to(zeros, image.channels))
        tensor = replace(image, zero_point=points)
        if any(isinstance(op, Image) for op in self.growing.operators):
            raise EngineError(f"{label(node)}: the image is dequantised twice.")
        self.growing.append(Image(tensor))
        return Quantized(tensor, convert.positive(label(node), scales[0]))

    def _quantize(
        self, node: onnx.NodeProto, source: Pending | Quantized | MovedValues, scale: Array, zero: Array
    ) -> Quantized | MovedValues:
        grid = _grid_of(node, scale, zero)
        if isinstance(source, MovedValues):
            if not _is_on(source.source, node, scale, zero):
                raise no_integer_form(node, [source])  # it is copied first
            return source
        if isinstance(source, Quantized) and _is_on(source, node, scale, zero):
            return source
        pending = source if isinstance(source, Pending) else convert.copied(label(node), source)
        key = (id(pending), grid)
        if key not in self._finished:
            self._finished[key] = (pending, self._finish(node.output[0], pending, grid))
        return self._finished[key][1]

    def _finish(self, name: str, pending: Pending, grid: "IntegerGrid") -> Quantized:
        """Append the operator that writes a sum to a grid."""
        height, width, channels = pending.shape
        step, output = grid.step, Tensor(name, height, width, channels, (grid.zero,), grid.wide)
        residual, other = None, pending.residual
        if other is not None:
            residual = Residual(other.whole(pending.node), float(np.float32(other.scale / step)))
        clip = quantization_clip(pending, step, output)
        end = Epilogue(output, step, clip, residual, pending.gain, pending.shift, pending.applied)
        operator = pending.finish(end)
        if grid.wide and not isinstance(operator, WRITE_WIDE):
            raise EngineError(
                f"{pending.node} gives numbers of 16 bits; it can give 8. Quantise them to uint8."
            )
        self.growing.append(operator)
        return Quantized(output, step, flat=pending.flat)

    def _quantize_real(self, node: onnx.NodeProto, real: Real, scale: Array, zero: Array) -> Quantized:
        grid = _grid_of(node, scale, zero)
        channels, height, width = (*real.dense.shape[1:], 1, 1)[:3]
        output = Tensor(node.output[0], height, width, channels, (grid.zero,), grid.wide)
        self.growing.append(Quantise(label(node), real.dense, output, grid.step))
        return Quantized(output, grid.step, flat=len(real.dense.shape) == 2)


def no_integer_form(node: onnx.NodeProto, operands: list[Value]) -> NoIntegerForm:
    """Return the error for a node that becomes a float operator."""
    kinds = ", ".join(type(value).__name__.lower() for value in operands)
    return NoIntegerForm(f"{label(node)} has no integer form for its inputs ({kinds}).")


def _is_on(x: Quantized, node: onnx.NodeProto, scale: Array, zero: Array) -> bool:
    """Whether a QuantizeLinear has x's own grid, so that it changes no value."""
    grid = _grid_of(node, scale, zero)
    return (x.scale, x.tensor.zero_point, x.tensor.wide) == (grid.step, (grid.zero,), grid.wide)


@dataclass(frozen=True)
class IntegerGrid:
    """The grid of a QuantizeLinear. `zero` is a uint8, or a uint16 if it is `wide`."""

    step: float
    zero: int
    wide: bool


def _grid_of(node: onnx.NodeProto, scale: Array, zero: Array) -> IntegerGrid:
    """The grid of a QuantizeLinear. Raises EngineError."""
    if scale.size != 1 or zero.size != 1 or zero.dtype not in (np.uint8, np.int8, np.uint16, np.int16):
        raise EngineError(
            f"{label(node)}: activations need one scale, and one zero point of uint8, int8, uint16 or int16."
        )
    step = convert.positive(label(node), scale.item())
    return IntegerGrid(step, int(zero.item()) - int(np.iinfo(zero.dtype).min), zero.dtype.itemsize > 1)
