"""The quantised network in torch, differentiable: what learned rounding and QAT train.

Gradients pass rounding by the straight-through estimator (Bengio et al., "Estimating or Propagating Gradients
Through Stochastic Neurons", 2013). Activation scales are learned as in LSQ (Esser et al., "Learned Step Size
Quantization", ICLR 2020), by their logarithm.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from calibration.differentiable.kernel import Inputs, Outputs
from calibration.differentiable.torch_kernels import kernel_of
from calibration.grid import WEIGHT_LIMIT, ActivationGrid, QuantizedWeight
from calibration.onnx_graph import OnnxGraph, attribute
from calibration.parameters import Parameters, QuantizedLayer
from calibration.placement import Placement
from calibration.replay import Replay
from calibration.sparsity import kept_of_fours


@dataclass(frozen=True)
class Rates:
    """Adam's learning rates: of weights in steps of their grid, of biases, of logarithms of scales."""

    weight: float = 0.03
    bias: float = 5e-3
    scale: float = 3e-3


class FakeQuantized(nn.Module):
    """A Q/DQ network whose integers, biases and activation scales are parameters.

    `limit` is how many steps a weight may move from its start; None is no limit. With `stays_sparse`, weights
    that have the 2:4 pattern keep it: what was pruned stays zero. The parameters start from
    `start`, and it computes what the graph that `write_qdq` writes of them computes in onnxruntime.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        placement: Placement,
        start: Parameters,
        limit: float | None = 1.0,
        stays_sparse: bool = False,
    ) -> None:
        super().__init__()
        self.placement, self.start = placement, start
        self._replay = Replay(graph)
        self._edges = {(edge.node, edge.slot) for edge in placement.edges}
        self._residual = {(edge.node, edge.slot) for edge in placement.residual}
        copied = (name for name, is_copied in placement.residuals(graph).items() if is_copied)
        self._copied = {name for name in copied if not start.grids[name].is_wide}
        self._index = {i: at for at, i in enumerate(start.layers)}
        self.layers = nn.ModuleList(
            _FakeQuantLayer(layer, limit, kept_of_fours(layer.weight.values) if stays_sparse else None)
            for layer in start.layers.values()
        )
        grids = {source: start.grids[tensor] for tensor, source in placement.tensors.items()}
        self._sources = {source: at for at, source in enumerate(grids)}
        self.log_scales = nn.ParameterList(torch.tensor(float(np.log(g.scale))) for g in grids.values())
        self._cache: dict[str, Tensor] = {}
        self._wide: dict[str, Tensor] = {}
        self._pixels: Tensor | None = None

    def groups(self, rates: Rates) -> list[dict[str, Any]]:
        """Parameter groups for an optimiser: integers, bias changes, logarithms of scales."""
        layers = list(self._layers())
        return [
            {"params": [layer.integers for layer in layers], "lr": rates.weight},
            {"params": [layer.bias_change for layer in layers], "lr": rates.bias},
            {"params": list(self.log_scales), "lr": rates.scale},
        ]

    def forward(self, images: NDArray[np.uint8]) -> Tensor:
        """Return logits [n, classes] for pixels uint8 [n, H, W, C]."""
        return self.run(images)[0]

    def run(self, images: NDArray[np.uint8]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return logits, and the quantised value of each observed tensor."""
        self._cache, self._wide = {}, {}
        if self.placement.pixels:
            self._pixels = torch.from_numpy(self.placement.pixels.convolution_input(images))
        logits, _ = self._replay.run(images, (), self._override)
        return logits, {name: x for name, x in self._cache.items() if name in self._sources}

    def found(self) -> Parameters:
        """Return the learned parameters."""
        grids = {}
        for tensor, grid in self.start.grids.items():
            scale = np.float32(np.exp(self._log_scale(tensor).item()))
            grids[tensor] = ActivationGrid(scale, grid.zero_point)
        return Parameters(
            grids, {i: layer.found() for i, layer in zip(self._index, self._layers(), strict=True)}
        )

    def _layers(self) -> list["_FakeQuantLayer"]:
        return [layer for layer in self.layers if isinstance(layer, _FakeQuantLayer)]

    def _log_scale(self, tensor: str) -> Tensor:
        found: Tensor = self.log_scales[self._sources[self.placement.tensors[tensor]]]
        return found

    def _override(self, index: int, node: onnx.NodeProto, inputs: Inputs) -> Outputs | None:
        quantized = [
            self._read((index, slot), name, x) if (index, slot) in self._edges and x is not None else x
            for slot, (name, x) in enumerate(zip(node.input, inputs, strict=True))
        ]
        if index not in self._index:
            return kernel_of(node)(node, quantized)
        pixels = self.placement.pixels
        first = pixels is not None and index == pixels.conv
        step = torch.ones(()) if first else self._log_scale(node.input[0]).exp()
        weight, bias = self._layers()[self._index[index]](step)
        if first and self._pixels is not None:
            strides, dilations = attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1])
            return functional.conv2d(self._pixels, weight, bias, strides, 0, dilations)
        if node.op_type == "Gemm":
            x = quantized[0]
            return None if x is None else functional.linear(x, weight, bias)
        return kernel_of(node)(node, [quantized[0], weight, bias])

    def _read(self, edge: tuple[int, int], name: str, x: Tensor) -> Tensor:
        """What an edge reads of a tensor: 16 bits of it, or a copy of 8, where the writer has both."""
        if name not in self._copied:
            return self._quantized(name, x)
        wide = self._in_16_bits(name, x)
        return wide if edge in self._residual else self._quantized(name, wide)

    def _in_16_bits(self, name: str, x: Tensor) -> Tensor:
        if name not in self._wide:
            grid, wide = self.start.grids[name], self.start.grids[name].widened()
            scale = self._log_scale(name).exp() * (float(wide.scale) / float(grid.scale))
            self._wide[name] = _on_grid(x, scale, wide)
        return self._wide[name]

    def _quantized(self, name: str, x: Tensor) -> Tensor:
        if name not in self._cache:
            scale = _scaled_gradient(self._log_scale(name).exp(), (x.numel() * 127) ** -0.5)
            self._cache[name] = _on_grid(x, scale, self.start.grids[name])
        return self._cache[name]


class _FakeQuantLayer(nn.Module):
    """Integers (as float) and bias of one layer; `unit` is the size of a change of the bias."""

    def __init__(
        self, layer: QuantizedLayer, limit: float | None, kept: NDArray[np.bool_] | None = None
    ) -> None:
        super().__init__()
        self._start = torch.from_numpy(layer.weight.values.astype(np.float32))
        self._scales = layer.weight.scales
        self._steps = torch.from_numpy(self._scales.copy()).reshape(-1, *(1,) * (self._start.dim() - 1))
        self._bias = torch.from_numpy(layer.bias.copy())
        self._unit = float(self._bias.abs().mean().clamp_min(1e-6))
        self._limit = limit
        self._kept = None if kept is None else torch.from_numpy(kept)
        self.integers = nn.Parameter(self._start.clone())
        self.bias_change = nn.Parameter(torch.zeros_like(self._bias))

    def forward(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights and bias to compute with; `step` is the scale of the layer's input.

        The bias is in whole steps of the sum, as `write.whole_steps` writes it.
        """
        unit = step.detach() * self._steps.reshape(-1)
        return _round(self._allowed()) * self._steps, _round(self._wanted_bias() / unit) * unit

    def found(self) -> QuantizedLayer:
        """Return the integers and the bias."""
        with torch.no_grad():
            values = self._allowed().round().numpy().astype(np.int8)
            return QuantizedLayer(QuantizedWeight(values, self._scales), self._wanted_bias().numpy())

    def _wanted_bias(self) -> Tensor:
        return self._bias + self.bias_change * self._unit

    def _allowed(self) -> Tensor:
        moved: Tensor = self.integers
        if self._limit is not None:
            moved = torch.maximum(torch.minimum(moved, self._start + self._limit), self._start - self._limit)
        allowed = moved.clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)
        return allowed if self._kept is None else allowed * self._kept


def _round(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes straight through."""
    return x + (x.round() - x).detach()


def _on_grid(x: Tensor, scale: Tensor, grid: ActivationGrid) -> Tensor:
    """Round to whole steps of `scale` within the grid's limits."""
    zero = float(grid.zero_point)
    return _round((x / scale).clamp(grid.low - zero, grid.high - zero)) * scale


def _scaled_gradient(x: Tensor, factor: float) -> Tensor:
    """x, with its gradient multiplied by `factor` (LSQ, section 2.2)."""
    return x * factor + (x - x * factor).detach()
