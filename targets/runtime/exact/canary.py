"""A graph of small quantised layers with known results, to test whether onnxruntime is exact.

The known results come from integer arithmetic in NumPy, never from onnxruntime.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .canary_pools import pools_and_sums
from .canary_products import PRODUCTS, product_layer
from .onnx_bytes import model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .canary_layer import ActivationType, CanaryLayer

TOLERANCE = 0.75
"""Tolerance in steps of the result's scale. A correct result is rounded to whole steps, an error of one half
at most; the rest is for float32's own rounding of means."""


@dataclass(frozen=True)
class Canary:
    """All layers, with one type of activations, in one model."""

    activation: ActivationType
    layers: tuple[CanaryLayer, ...]

    def model(self) -> bytes:
        """Return the model: every layer between its own inputs and its output, which has its name."""
        graphs = [layer.graph(self.activation) for layer in self.layers]
        return model(
            [one for graph in graphs for one in graph.nodes],
            [one for graph in graphs for one in graph.tensors],
            [one for graph in graphs for one in graph.inputs],
            [graph.output for graph in graphs],
        )

    def feed(self) -> dict[str, NDArray[np.float32]]:
        """Return what the model reads, by name."""
        return {name: x for layer in self.layers for name, x in layer.feed().items()}

    def wrong(self, answers: Sequence[NDArray[np.floating[Any]]]) -> list[str]:
        """Return the names of the layers whose answer is wrong; `answers` are in the layers' order."""
        return [
            layer.name
            for layer, answer in zip(self.layers, answers)
            if not np.all(np.abs(answer - layer.exact) <= TOLERANCE * layer.step)
        ]


@lru_cache(maxsize=None)
def canary(activation: ActivationType) -> Canary:
    """Return the canary of one type of activations."""
    products = (product_layer(shape, activation) for shape in PRODUCTS)
    return Canary(activation, (*products, *pools_and_sums(activation)))
