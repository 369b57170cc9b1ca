"""Convolution, which includes fully connected layers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.register_functions import RegisterFunction
from targets.tvm.operators.results_on_grids import UNCLIPPED, Clip, Residual, scaled, stored
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.operators.sum_functions import Applied
from targets.tvm.tensors import Array, Floats, Int8s, Int32s, Steps, Tensor


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution, also grouped, depthwise and fully connected. weight [K, C / groups, R, S]."""

    node: str
    input: Tensor
    output: Tensor
    weight: Int8s
    bias: Int32s
    multiplier: Floats
    window: SlidingWindow
    groups: int = 1
    residual: Residual | None = None
    clip: Clip = UNCLIPPED
    real: bool = False
    """The result is float32(acc) * m, in float32; output has no grid."""
    applied: Applied | None = None
    """The function applied to float32(acc) * m before rounding; not together with a residual."""

    @property
    def function(self) -> RegisterFunction | None:
        """The function that is applied, without its factors."""
        return None if self.applied is None else self.applied.function

    @property
    def is_wide(self) -> bool:
        """Whether anything that it reads or writes has 16 bits."""
        return any(tensor.wide for tensor in (*self.inputs, self.output))

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map, and the residual's."""
        return (self.input,) if self.residual is None else (self.input, self.residual.tensor)

    def compute(self, values: Mapping[str, Array]) -> Array:
        """acc = sum((x - zx) * w) + bias, exact in int32, and a residual."""
        total = self.accumulate(values[self.input.name])
        if self.real:
            sums: Floats = total.astype(np.float32) * self.multiplier
            return sums
        if self.applied is not None:
            return stored(self.applied.to(total.astype(np.float32) * self.multiplier), self.output, self.clip)
        return stored(scaled(total, self.multiplier, self.residual, values), self.output, self.clip)

    def accumulate(self, x: Steps) -> Int32s:
        """acc [N, H, W, K]. Every partial sum is an integer below 2**53, so float64 is exact."""
        (kh, kw), (sh, sw), (dh, dw) = self.window.kernel, self.window.stride, self.window.dilation
        height, width = self.output.height, self.output.width
        padded = self._padded(x)
        count, per_group = self.weight.shape[:2]
        total = np.zeros((len(x), height, width, self.groups, count // self.groups))
        for r in range(kh):
            for s in range(kw):
                rows = slice(r * dh, r * dh + (height - 1) * sh + 1, sh)
                columns = slice(s * dw, s * dw + (width - 1) * sw + 1, sw)
                tap = padded[:, rows, columns].reshape(len(x), height, width, self.groups, 1, per_group)
                weight = self.weight[:, :, r, s].astype(np.float64).reshape(self.groups, -1, per_group)
                total += np.matmul(tap, weight.transpose(0, 2, 1))[..., 0, :]
        return (total.reshape(len(x), height, width, count) + self.bias).astype(np.int32)

    def _padded(self, x: Steps) -> NDArray[np.float64]:
        """x - zx with zeros where the window leaves the image."""
        tensor, pad = self.input, self.window.pad
        reach = self.window.reach(self.output.height, self.output.width)
        padded = np.zeros((len(x), *reach, tensor.channels))
        sides = zip((tensor.height, tensor.width), reach, pad, strict=True)
        height, width = (min(n, r - p) for n, r, p in sides)
        inside = x[:, :height, :width].astype(np.float64) - np.asarray(tensor.zero_point)
        padded[:, pad[0] : pad[0] + height, pad[1] : pad[1] + width] = inside
        return padded
