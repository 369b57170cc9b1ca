"""Which kernel copies a tensor into another one, or onto another grid."""

from dataclasses import replace

import numpy as np

from targets.tvm.addresses import Addresses
from targets.tvm.kernels.elementwise import CopyKernel
from targets.tvm.kernels.narrow import NarrowKernel, narrowed
from targets.tvm.kernels.regrid import RegridKernel
from targets.tvm.layout import stored_channels
from targets.tvm.operators.assembling import Assemble, Piece
from targets.tvm.operators.results_on_grids import Clip, centred, stored
from targets.tvm.weights import limits


def copy_kernel(op: Assemble, piece: Piece, place: Addresses) -> CopyKernel | RegridKernel | NarrowKernel:
    """Numbers of 16 bits by whole vectors, where none of these reaches into another piece."""
    x, y, (sy, sx) = piece.tensor, op.output, piece.stride
    strides, channels = place.strides(x), stored_channels(x.channels)
    read = replace(strides, row=strides.row * sy, pixel=strides.pixel * sx)
    written = place.strides(y)
    alone = x.channels in (channels, y.channels) and place.channels(x) == channels
    if alone and piece.affine is None and (x.wide or y.wide):
        if _narrows(op, piece) and NarrowKernel.fits(place.isa, y.width, channels, read, written):
            return NarrowKernel(
                isa=place.isa, height=y.height, width=y.width, channels=channels, x=read, y=written
            )
        return RegridKernel(
            isa=place.isa,
            height=y.height,
            width=y.width,
            channels=channels,
            x=read,
            y=written,
            limits=limits(piece, y, op.clip),
        )
    same = (x.zero, x.wide) == (y.zero, False)
    plain = piece.multiplier == 1.0 and same and op.clip == Clip()
    return CopyKernel(
        isa=place.isa,
        height=y.height,
        width=y.width,
        channels=x.channels,
        x=read,
        y=written,
        plain=plain and piece.affine is None,
        limits=limits(piece, y, op.clip),
        affine=0 if piece.affine is None else channels,
    )


def _narrows(op: Assemble, piece: Piece) -> bool:
    """Whether the copy of every number of 16 bits is what `narrowed` says."""
    if op.output.wide or not piece.tensor.wide:
        return False
    every = np.arange(1 << 16).astype(np.uint16)
    value = centred(piece.tensor, every).astype(np.float32) * np.float32(piece.multiplier)
    return np.array_equal(stored(value, op.output, op.clip), narrowed(every))
