"""PRelu: another factor for numbers below zero, for each channel."""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from targets.tvm.kernels.emitter import splat
from targets.tvm.kernels.requantise import Requantise, ResultRange
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.vector_blocks import blocks, centred


@dataclass(frozen=True, kw_only=True)
class RectifyKernel(RowKernel):
    """`channels` as stored; w: float32, the factor of each channel for numbers below zero."""

    width: int
    channels: int
    x: Strides
    y: Strides
    limits: ResultRange

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k, lanes = self.emitter(), self.isa.lanes
        requantise, slopes = Requantise(self.isa, 1, self.limits, per_channel=False), k.view("w", "float32")
        offset = k.let(k.load(k.ints, 0))
        nothing = splat(tirx.const(0, "float32"), lanes)
        with k.items() as row:
            for column, channel, vectors in blocks(k, self.width, self.channels, lanes):
                x, y = (k.let(row * s.row + column * s.pixel + channel) for s in (self.x, self.y))
                places = [[dp * s.pixel + dc for dp, dc in vectors] for s in (self.x, self.y)]
                values = []
                found = centred(k, self.isa, "x", self.x, x, places[0], offset)
                for value, (_, more) in zip(found, vectors, strict=True):
                    below = k.load(slopes, channel + more, lanes)
                    factor = tirx.Select(value < nothing, below, requantise.multiplier(k, 0))
                    values.append(value * factor)
                requantise.store(k, y, places[1], values)
        return k.function(name)
