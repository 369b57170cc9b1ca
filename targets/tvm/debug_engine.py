"""An engine that yields every tensor: the same kernels and constants, with memory of its own for each tensor.

Its output is the whole arena, which is cut into tensors here. So it runs wherever engines do: in Python, in
the emulator and over SSH.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from targets.tvm import oracle
from targets.tvm.addresses import Addresses
from targets.tvm.engine_file import write_program
from targets.tvm.integer_graph import Image, IntegerGraph, outputs
from targets.tvm.isa import Isa
from targets.tvm.layout import Layout
from targets.tvm.lower import lower_onto
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.window_pooling import AveragePool
from targets.tvm.tensors import Array, Bytes, Dense, Tensor

_FLOAT = 4  # bytes of a float32


@dataclass(frozen=True)
class KeptTensor:
    """Where a tensor is in the arena. `layout` is None for contiguous floats in ONNX's order."""

    tensor: Tensor | Dense
    start: int
    layout: Layout | None


@dataclass(frozen=True)
class DebugEngine:
    """A written debug engine, with the tensors in its output."""

    graph: IntegerGraph
    isa: Isa
    kept: tuple[KeptTensor, ...]

    def tensors(self, output: NDArray[np.float32]) -> dict[str, Array]:
        """Cut an engine's output [N, arena / 4] into tensors by name.

        Integers uint8 or uint16 [N, H, W, C] as the integer graph has them; those of islands in ONNX's shape.
        """
        arena = np.ascontiguousarray(output).view(np.uint8).reshape(len(output), -1)
        return {one.tensor.name: self._cut(arena, one) for one in self.kept}

    def _cut(self, arena: Bytes, kept: KeptTensor) -> Array:
        tensor, layout = kept.tensor, kept.layout
        if isinstance(tensor, Dense) or layout is None:
            assert isinstance(tensor, Dense)  # noqa: S101 - only they have no layout
            part = np.ascontiguousarray(arena[:, kept.start : kept.start + tensor.size])
            return part.view(tensor.dtype).reshape(len(arena), *tensor.shape[1:])
        words = layout.strides.words
        first = arena[:, kept.start + layout.origin :]
        shape = (len(arena), tensor.height, tensor.width, tensor.channels)
        step = (first.strides[0], layout.row, layout.pixel, 2 if words else 1)

        def numbers(begin: int) -> NDArray[np.int32]:
            one = as_strided(first[:, begin:], (*shape, step[-1]), (*step, 1))
            return (
                np.ascontiguousarray(one).view("<i2" if words else self.isa.stored)[..., 0].astype(np.int32)
            )

        stored = numbers(0)
        if not tensor.wide:
            return (stored + (128 if self.isa.signed else 0)).astype(np.uint8)
        if not words:
            stored = 256 * stored + numbers(layout.channels)
        return (stored + layout.lowered).astype(np.uint16)

    def differing(self, output: NDArray[np.float32], images: Bytes) -> Mapping[str, int]:
        """Return, for each tensor, how many of its numbers differ from the oracle's."""
        wanted = oracle.all_values(self.graph, images)
        return {
            name: int((found != wanted[name].reshape(found.shape)).sum())
            for name, found in self.tensors(output).items()
        }


def write_debug_engine(graph: IntegerGraph, isa: Isa, output: Path) -> DebugEngine:
    """Compile a graph so that its engine gives every tensor. Raises EngineError.

    The engine has no golden images: what it gives is compared with the oracle tensor by tensor.
    """
    place = Addresses(graph, isa, keeps_all=True)
    program = lower_onto(place, graph)
    whole = replace(program, logits=0, classes=program.arena // _FLOAT, output_pixels=1)
    write_program(graph, whole, output, golden=b"", golden_images=0)
    kept = [
        KeptTensor(tensor, place.start(tensor), place.layouts.get(tensor.name))
        for op in graph.operators
        if not isinstance(op, Image) and not (isinstance(op, Conv | AveragePool) and op.real)
        for tensor in outputs(op)
    ]
    return DebugEngine(graph, isa, tuple(kept))
