"""Numbers on another grid, of 8 or 16 bits: the copy that a convolution reads of a sum of 16 bits."""

from dataclasses import dataclass
from typing import Any

from targets.tvm.kernels.requantise import Requantise, ResultRange
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.vector_blocks import blocks, centred, in_one_run


@dataclass(frozen=True, kw_only=True)
class RegridKernel(RowKernel):
    """y = sat(rne(float32(x - zx) * m) + zy), of `channels` as stored."""

    width: int
    channels: int
    x: Strides
    y: Strides
    limits: ResultRange

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        requantise = Requantise(self.isa, 1, self.limits, per_channel=False, y=self.y)
        offset, multiplier = k.let(k.load(k.ints, 0)), requantise.multiplier(k, 0)
        size = in_one_run(self.width, self.channels, self.x, self.y)
        with k.items() as row:
            for column, channel, vectors in blocks(k, *size, self.isa.lanes):
                x, y = (k.let(row * s.row + column * s.pixel + channel) for s in (self.x, self.y))
                places = [[dp * s.pixel + dc for dp, dc in vectors] for s in (self.x, self.y)]
                found = centred(k, self.isa, "x", self.x, x, places[0], offset)
                requantise.store(k, y, places[1], [value * multiplier for value in found])
        return k.function(name)
