"""Between stored numbers and float32: where an island begins or ends, and the logits."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from targets.tvm.operators.resizing import pixels_of_channels
from targets.tvm.operators.results_on_grids import Clip, centred, stored
from targets.tvm.tensors import Array, Dense, Floats, Steps, Tensor


@dataclass(frozen=True, eq=False)
class Dequantise:
    """float32(x - zx) * scale, channels first; of a `real` input the numbers as they are.

    With `block` above 1, channels become pixels on the way, as in PixelShuffle.
    """

    node: str
    input: Tensor
    output: Dense
    scale: float
    real: bool = False
    block: int = 1

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Floats:
        """Channels first, in the shape of the output with all images in front."""
        x = values[self.input.name]
        numbers = x if self.real else centred(self.input, x).astype(np.float32) * np.float32(self.scale)
        planes = pixels_of_channels(numbers, self.block).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(planes.reshape(-1, *self.output.shape))


@dataclass(frozen=True, eq=False)
class Quantise:
    """clip(rne(x / scale) + zy), from [1, C, H, W] or [1, C]."""

    node: str
    input: Dense
    output: Tensor
    scale: float

    @property
    def inputs(self) -> tuple[Dense, ...]:
        """The numbers."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Steps:
        """The quotient is rounded to float32 first."""
        y = self.output
        planes: Floats = values[self.input.name].reshape(-1, y.channels, y.height, y.width)
        steps = (planes / np.float32(self.scale)).transpose(0, 2, 3, 1)
        return stored(steps, y, Clip(0, y.highest))
