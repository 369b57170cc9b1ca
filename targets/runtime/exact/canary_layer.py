"""One small quantised layer: its inputs, its nodes, and its result by integer arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from .onnx_bytes import node, tensor, value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float32]

SCALE = 2.0**-4
"""The scale of layers' inputs: a power of two, so that float32 represents every value exactly."""


@dataclass(frozen=True)
class ActivationType:
    """Type and zero point of activations."""

    element: str
    zero: int

    @property
    def ends(self) -> tuple[int, int]:
        """Return the least and the largest value, counted from the zero point."""
        info = np.iinfo(self.element)
        return int(info.min) - self.zero, int(info.max) - self.zero


ACTIVATIONS = (ActivationType("uint8", 0), ActivationType("uint8", 128), ActivationType("int8", 0))
"""For outputs of ReLU, for values around zero, and for symmetric ones."""


class LayerEnd(Enum):
    """The operators that follow a layer."""

    QUANTISED = "quantised"
    RELU = "ReLU, then quantised"
    FLOAT = "nothing: the answer leaves as float"


@dataclass(frozen=True)
class CanaryLayer:
    """A layer whose `nodes` read {name}_0, {name}_1, ... (dequantised) and write {name}_y (float).

    `operands` are whole steps of SCALE from the zero point. `answer` are whole numbers of `unit`, exact,
    before the end. `tensors` are the layer's constants.
    """

    name: str
    operands: tuple[Integers, ...]
    nodes: list[bytes]
    answer: Integers
    unit: float
    end: LayerEnd = LayerEnd.QUANTISED
    tensors: list[bytes] = field(default_factory=list)

    @property
    def exact(self) -> NDArray[np.float64]:
        """Return the correct result before it is rounded to steps."""
        answer = np.maximum(self.answer, 0) if self.end is LayerEnd.RELU else self.answer
        return np.asarray(answer * self.unit, np.float64)

    @property
    def step(self) -> float:
        """Return the answer's scale: a power of two, of which the largest answer has 60 to 120."""
        return float(2.0 ** np.ceil(np.log2(np.abs(self.exact).max() / 120)))

    def feed(self) -> dict[str, Floats]:
        """Return the values of the graph's inputs."""
        return {f"{self.name}_{i}_in": (x * SCALE).astype(np.float32) for i, x in enumerate(self.operands)}

    def graph(self, activation: ActivationType) -> CanaryNodes:
        """Return the layer between Q/DQ, as in a whole network: onnxruntime fuses these, not 8-bit inputs."""
        found = CanaryNodes([], list(self.tensors), [], value(self.name, "float32", self.answer.shape))
        for i, x in enumerate(self.operands):
            place = f"{self.name}_{i}"
            found.inputs.append(value(f"{place}_in", "float32", x.shape))
            found.quantise(f"{place}_in", place, SCALE, activation.element, activation.zero)
        found.nodes.extend(self.nodes)
        last = f"{self.name}_y"
        if self.end is LayerEnd.RELU:
            found.nodes.append(node("Relu", [last], f"{last}_relu"))
            last = f"{last}_relu"
        if self.end is LayerEnd.FLOAT:
            found.nodes.append(node("Identity", [last], self.name))
        else:
            middle = 128 if activation.element == "uint8" and self.end is not LayerEnd.RELU else 0
            found.quantise(last, self.name, self.step, activation.element, middle)
        return found


@dataclass(frozen=True)
class CanaryNodes:
    """A layer's part of the canary's graph, in ONNX's bytes."""

    nodes: list[bytes]
    tensors: list[bytes]
    inputs: list[bytes]
    output: bytes

    def quantise(self, read: str, written: str, scale: float, element: str, zero: int) -> None:
        """Append Q and DQ."""
        grid = [f"{written}_scale", f"{written}_zero"]
        self.tensors.append(tensor(grid[0], np.array(scale, np.float32)))
        self.tensors.append(tensor(grid[1], np.array(zero, element)))
        self.nodes.append(node("QuantizeLinear", [read, *grid], f"{written}_q"))
        self.nodes.append(node("DequantizeLinear", [f"{written}_q", *grid], written))
