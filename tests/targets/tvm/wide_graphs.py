"""Random integer graphs, some of whose activations have 16 bits."""

from dataclasses import replace

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
    return replace(graph, operators=operators, logits=operators[-1].output, image=operators[0].output)


def _takes(op: Operator) -> bool:
    return isinstance(op, Conv | AveragePool | Add | Multiply | Assemble)


def _tensors(op: Operator) -> tuple[Tensor, ...]:
    assert not isinstance(op, Island | Dequantise | Quantise)
    return (*op.inputs, op.output)


def _steps(tensor: Tensor) -> int:
    return FINER if tensor.wide else 1


def _finer(op: Operator, by_name: dict[str, Tensor]) -> Operator:
    """An operator that computes the same numbers with these tensors."""
    assert not isinstance(op, Island | Dequantise | Quantise)
    output = by_name[op.output.name]

    def clip(found: Clip) -> Clip:
        return Clip(found.low * FINER, found.high * FINER) if output.wide else found

    def ratio(tensor: Tensor) -> np.float32:
        return np.float32(_steps(output) / _steps(by_name[tensor.name]))

    def residual(found: Residual) -> Residual:
        return Residual(by_name[found.tensor.name], float(np.float32(found.multiplier) * ratio(found.tensor)))

    match op:
        case Conv():
            x = by_name[op.input.name]
            most = -(-op.weight[0].size // 240) if x.wide else 1  # so that sums fit int32
            return replace(
                op,
                input=x,
                output=output,
                weight=(op.weight // most).astype(np.int8),
                bias=op.bias * np.int32(_steps(x)) // np.int32(most),
                multiplier=op.multiplier * ratio(op.input) * np.float32(most),
                residual=op.residual and residual(op.residual),
                clip=clip(op.clip),
            )
        case AveragePool():
            x = by_name[op.input.name]
            return replace(
                op, input=x, output=output, multipliers=op.multipliers * ratio(x), clip=clip(op.clip)
            )
        case Add():
            x = by_name[op.input.name]
            multiplier = float(np.float32(op.multiplier) * ratio(x))
            return replace(
                op,
                input=x,
                output=output,
                multiplier=multiplier,
                residual=residual(op.residual),
                clip=clip(op.clip),
            )
        case Multiply():
            x, factor = by_name[op.input.name], by_name[op.factor.name]
            multiplier = float(np.float32(op.multiplier) * ratio(x) / np.float32(_steps(factor)))
            return replace(
                op, input=x, factor=factor, output=output, multiplier=multiplier, clip=clip(op.clip)
            )
        case Assemble():
            pieces = tuple(_piece(piece, by_name[piece.tensor.name], output) for piece in op.pieces)
            return replace(op, output=output, pieces=pieces, clip=clip(op.clip))
        case Image():
            return op
    return replace(op, input=by_name[op.input.name], output=output)


def _piece(piece: Piece, x: Tensor, output: Tensor) -> Piece:
    factor = np.float32(_steps(output) / _steps(x))
    affine = piece.affine
    if affine is not None:
        affine = Affine(affine.multiplier * factor, affine.offset * np.float32(_steps(output)))
    multiplier = float(np.float32(piece.multiplier) * factor)
    return replace(piece, tensor=x, multiplier=multiplier, affine=affine)
