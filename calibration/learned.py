"""Learned rounding: train integers, biases and activation scales to follow the float network.

No labels are needed. The loss compares the two networks' logits and the activations between their blocks,
each as squared error over squared signal, on calibration images and their mirror images. Rounding is passed
by the straight-through estimator; a weight may move one step from where it starts. This is AdaRound's aim
(Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020) with the
optimisation of AdaQuant (Hubara et al., "Accurate Post Training Quantization With Small Calibration Sets",
ICML 2021), over the network instead of layer by layer, and with activation scales learned as in LSQ (Esser et
al., "Learned Step Size Quantization", ICLR 2020).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from calibration.errors import ImagesError
from calibration.graph import Graph, attribute
from calibration.grid import ActivationGrid, QuantizedWeight
from calibration.parameters import Parameters, QuantizedLayer
from calibration.placement import Placement
from calibration.replay import Replay, kernel_of

MOST_IMAGES = 1024
EPOCHS = 12
BATCH = 32
WEIGHT_RATE, BIAS_RATE, SCALE_RATE = 0.03, 5e-3, 3e-3


def learn(
    graph: Graph,
    placement: Placement,
    start: Parameters,
    images: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
) -> Parameters:
    """Return `start` improved on the first MOST_IMAGES of `images`, which are held in memory as uint8.

    Reports each batch's size to `on_batch`, EPOCHS times over. Raises ImagesError for no images and
    ModelError for operators that `replay` does not know.
    """
    held = _first(images, MOST_IMAGES)
    teacher, student = Replay(graph), _Student(graph, placement, start)
    rng = np.random.default_rng(0)
    groups = student.groups()
    optimizer = torch.optim.Adam(groups)
    rates = [group["lr"] for group in groups]
    steps, step = EPOCHS * -(-len(held) // BATCH), 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(held))
        for at in range(0, len(held), BATCH):
            batch = held[order[at : at + BATCH]]
            batch = batch[:, :, ::-1] if rng.random() < 0.5 else batch
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            loss = _loss(teacher, student, placement, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            on_batch(len(batch))
    return student.parameters()


def _first(images: Iterable[NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    held: list[NDArray[np.uint8]] = []
    for batch in images:
        held.append(batch[: count - sum(map(len, held))])
    if not sum(map(len, held)):
        raise ImagesError("The recipe needs calibration images to learn from, and there are none.")
    return np.concatenate(held)


def _loss(teacher: Replay, student: "_Student", placement: Placement, images: NDArray[np.uint8]) -> Tensor:
    """Squared error over squared signal: of the logits, and the mean over the observed tensors."""
    with torch.no_grad():
        wanted, signals = teacher.run(images, placement.observed)
    found, copies = student.run(images)
    inside = [_relative(signals[name], copies[name]) for name in copies]
    return _relative(wanted, found) + sum(inside, torch.zeros(())) / max(1, len(inside))


def _relative(wanted: Tensor, found: Tensor) -> Tensor:
    return (wanted - found).square().sum() / wanted.square().sum().clamp_min(1e-12)


@dataclass
class _Layer:
    """Trainable integers (as float) and bias of one layer; `unit` is the size of a change of the bias."""

    start: Tensor
    integers: Tensor
    scales: Tensor
    bias_start: Tensor
    bias_change: Tensor
    unit: float

    @property
    def weight(self) -> Tensor:
        limited = torch.maximum(torch.minimum(self.integers, self.start + 1), self.start - 1).clamp(-127, 127)
        return _round(limited) * self.scales

    @property
    def bias(self) -> Tensor:
        return self.bias_start + self.bias_change * self.unit


class _Student:
    """The fake-quantised network."""

    def __init__(self, graph: Graph, placement: Placement, start: Parameters) -> None:
        self.placement, self.start = placement, start
        self.replay = Replay(graph)
        self.edges = {(edge.node, edge.slot) for edge in placement.edges}
        self.layers = {i: _trainable(layer) for i, layer in start.layers.items()}
        grids = {source: start.grids[tensor] for tensor, source in placement.tensors.items()}
        self.log_scales = {
            s: torch.tensor(float(np.log(g.scale)), requires_grad=True) for s, g in grids.items()
        }
        self._cache: dict[str, Tensor] = {}
        self._pixels: Tensor | None = None

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser: integers, bias changes, logarithms of scales."""
        layers = self.layers.values()
        return [
            {"params": [layer.integers for layer in layers], "lr": WEIGHT_RATE},
            {"params": [layer.bias_change for layer in layers], "lr": BIAS_RATE},
            {"params": list(self.log_scales.values()), "lr": SCALE_RATE},
        ]

    def run(self, images: NDArray[np.uint8]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits and the quantised value of each observed tensor."""
        self._cache = {}
        if self.placement.pixels:
            self._pixels = torch.from_numpy(self.placement.pixels.convolution_input(images))
        logits, _ = self.replay.run(images, (), self._override)
        return logits, {name: x for name, x in self._cache.items() if name in self.log_scales}

    def parameters(self) -> Parameters:
        """What was learned, as numbers to write."""
        grids = {}
        for tensor, grid in self.start.grids.items():
            scale = np.float32(np.exp(self.log_scales[self.placement.tensors[tensor]].item()))
            grids[tensor] = ActivationGrid(scale, grid.zero_point)
        layers = {}
        for i, layer in self.layers.items():
            scales = self.start.layers[i].weight.scales
            values = (layer.weight / layer.scales).detach().round().numpy().astype(np.int8)
            layers[i] = QuantizedLayer(QuantizedWeight(values, scales), layer.bias.detach().numpy())
        return Parameters(grids, layers)

    def _override(self, index: int, node: onnx.NodeProto, inputs: list[Tensor | None]) -> Tensor | None:
        quantized = [
            self._quantized(name, x) if (index, slot) in self.edges and x is not None else x
            for slot, (name, x) in enumerate(zip(node.input, inputs, strict=True))
        ]
        layer = self.layers.get(index)
        if layer is None:
            return kernel_of(node)(node, quantized)
        pixels = self.placement.pixels
        if pixels and index == pixels.conv and self._pixels is not None:
            return functional.conv2d(
                self._pixels, layer.weight, layer.bias, attribute(node, "strides", [1, 1])
            )
        if node.op_type == "Gemm":
            x = quantized[0]
            return None if x is None else functional.linear(x, layer.weight, layer.bias)
        return kernel_of(node)(node, [quantized[0], layer.weight, layer.bias])

    def _quantized(self, name: str, x: Tensor) -> Tensor:
        if name not in self._cache:
            grid = self.start.grids[name]
            scale = _scaled_gradient(
                self.log_scales[self.placement.tensors[name]].exp(), (x.numel() * 127) ** -0.5
            )
            zero = float(grid.zero_point)
            self._cache[name] = _round((x / scale).clamp(grid.low - zero, grid.high - zero)) * scale
        return self._cache[name]


def _trainable(layer: QuantizedLayer) -> _Layer:
    start = torch.from_numpy(layer.weight.values.astype(np.float32))
    scales = torch.from_numpy(layer.weight.scales.copy()).reshape(-1, *(1,) * (start.dim() - 1))
    bias = torch.from_numpy(layer.bias.copy())
    unit = float(bias.abs().mean().clamp_min(1e-6))
    return _Layer(
        start, start.clone().requires_grad_(), scales, bias, torch.zeros_like(bias).requires_grad_(), unit
    )


def _round(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes straight through."""
    return x + (x.round() - x).detach()


def _scaled_gradient(x: Tensor, factor: float) -> Tensor:
    """x, with its gradient multiplied by `factor` (LSQ, section 2.2)."""
    return x * factor + (x - x * factor).detach()
