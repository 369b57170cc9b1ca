"""Random integer graphs, some of whose activations have 16 bits."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from targets.tvm.integer_graph import Image, IntegerGraph, Island, Operator
from targets.tvm.operators.assembling import Affine, Assemble, Piece
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Add, Multiply
from targets.tvm.operators.float_boundary import Dequantise, Quantise
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.operators.window_pooling import AveragePool
from targets.tvm.tensors import Tensor
from tests.targets.tvm.random_graphs import networks

FINER = 257
"""Steps of 16 bits in one of 8."""
KINDS = ("conv", "conv", "conv", "average_pool", "add", "multiply", "gate", "assemble", "global_max")


@st.composite
def wide_networks(draw: st.DrawFn) -> IntegerGraph:
    """Networks of operators that take 16 bits, of whose activations any may have them."""
    graph = draw(networks(KINDS))
    able = [
        op.output
        for op in graph.operators
        if isinstance(op, Conv | AveragePool | Add | Multiply | Assemble) and op.output is not graph.logits
    ]
    able = [t for t in able if all(_takes(op) for op in graph.operators if t in op.inputs)]
    wide = {t.name: draw(st.integers(0, 256)) for t in able if draw(st.integers(0, 2))}
    return with_wide(graph, wide)


def with_wide(graph: IntegerGraph, lows: dict[str, int]) -> IntegerGraph:
    """The same network with 16 bits for these tensors; what is given is added to their zero points."""

    def finer(tensor: Tensor) -> Tensor:
        if tensor.name not in lows:
            return tensor
        point = min(tensor.zero * FINER + lows[tensor.name], 65535)
        return replace(tensor, zero_point=(point,), wide=True)

    operators = tuple(_finer(op, {t.name: finer(t) for t in _tensors(op)}) for op in graph.operators)
    return replace(graph, operators=operators)  # the image and the logits stay what they are


def _takes(op: Operator) -> bool:
    return isinstance(op, Conv | AveragePool | Add | Multiply | Assemble)


def _tensors(op: Operator) -> tuple[Tensor, ...]:
    assert not isinstance(op, Island | Dequantise | Quantise)
    return (*op.inputs, op.output)


def _steps(tensor: Tensor) -> int:
    return FINER if tensor.wide else 1


def _finer(op: Operator, by_name: dict[str, Tensor]) -> Operator:
    """An operator that computes the same numbers with these tensors."""
    if isinstance(op, Image):
        return op
    assert not isinstance(op, Island | Dequantise | Quantise)
    output = by_name[op.output.name]
    changes = {"output": output, **_numbers(op, by_name, output)}
    if isinstance(op, Conv | AveragePool | Add | Multiply | Assemble) and output.wide:
        changes["clip"] = Clip(op.clip.low * FINER, op.clip.high * FINER)
    if not isinstance(op, Assemble):
        changes["input"] = by_name[op.input.name]
    return replace(op, **changes)


def _numbers(op: Operator, by_name: dict[str, Tensor], output: Tensor) -> dict[str, Any]:
    """An operator's other operands, and its numbers in the new steps."""
    match op:
        case Conv():
            x = by_name[op.input.name]
            most = -(-op.weight[0].size // 240) if x.wide else 1  # so that sums fit int32
            return {
                "weight": (op.weight // most).astype(np.int8),
                "bias": op.bias * np.int32(_steps(x)) // np.int32(most),
                "multiplier": op.multiplier * _ratio(output, x) * np.float32(most),
                "residual": op.residual and _residual(op.residual, by_name, output),
            }
        case AveragePool():
            return {"multipliers": op.multipliers * _ratio(output, by_name[op.input.name])}
        case Add():
            multiplier = float(np.float32(op.multiplier) * _ratio(output, by_name[op.input.name]))
            return {"multiplier": multiplier, "residual": _residual(op.residual, by_name, output)}
        case Multiply():
            x, factor = by_name[op.input.name], by_name[op.factor.name]
            of_both = np.float32(op.multiplier) * _ratio(output, x) / np.float32(_steps(factor))
            return {"factor": factor, "multiplier": float(of_both)}
        case Assemble():
            return {"pieces": tuple(_piece(piece, by_name[piece.tensor.name], output) for piece in op.pieces)}
    return {}


def _ratio(output: Tensor, x: Tensor) -> np.float32:
    return np.float32(_steps(output) / _steps(x))


def _residual(found: Residual, by_name: dict[str, Tensor], output: Tensor) -> Residual:
    other = by_name[found.tensor.name]
    return Residual(other, float(np.float32(found.multiplier) * _ratio(output, other)))


def _piece(piece: Piece, x: Tensor, output: Tensor) -> Piece:
    factor = _ratio(output, x)
    affine = piece.affine
    if affine is not None:
        affine = Affine(affine.multiplier * factor, affine.offset * np.float32(_steps(output)))
    multiplier = float(np.float32(piece.multiplier) * factor)
    return replace(piece, tensor=x, multiplier=multiplier, affine=affine)
