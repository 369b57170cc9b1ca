"""Concatenation and other operators that put tensors into a larger one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from targets.tvm.operators.results_on_grids import UNCLIPPED, Clip, centred, fused_multiply_add, stored
from targets.tvm.tensors import Array, Floats, Steps, Tensor


@dataclass(frozen=True, eq=False)
class Affine:
    """A factor and an addend for each channel, in steps of the output's grid."""

    multiplier: Floats
    offset: Floats


@dataclass(frozen=True, eq=False)
class Piece:
    """Where a tensor goes in a larger one: every `stride`-th row and column, from channel `channel` on.

    With `affine` the value is fma(float32(x - zx), m[k], offset[k]), and `multiplier` is not used.
    """

    tensor: Tensor
    multiplier: float
    channel: int
    stride: tuple[int, int] = (1, 1)
    affine: Affine | None = None


@dataclass(frozen=True, eq=False)
class Assemble:
    """Concatenation, strided slices, zero channels and requantisation: acc = x - zx. Elsewhere y is zy."""

    node: str
    output: Tensor
    pieces: tuple[Piece, ...]
    clip: Clip = UNCLIPPED

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The pieces' tensors."""
        return tuple(piece.tensor for piece in self.pieces)

    def compute(self, values: Mapping[str, Array]) -> Steps:
        """Each piece lands on its channels."""
        y = self.output
        count = len(values[self.pieces[0].tensor.name])
        size = (count, y.height, y.width, y.channels)
        result: Steps = np.full(size, y.zero, np.uint16) if y.wide else np.full(size, y.zero, np.uint8)
        for piece in self.pieces:
            taken = values[piece.tensor.name][:, :: piece.stride[0], :: piece.stride[1]]
            steps = centred(piece.tensor, taken).astype(np.float32)
            value: Floats = steps * np.float32(piece.multiplier)
            if piece.affine is not None:
                value = fused_multiply_add(steps, piece.affine.multiplier, piece.affine.offset)
            channels = slice(piece.channel, piece.channel + piece.tensor.channels)
            result[..., channels] = stored(value, y, self.clip)
        return result
