"""The steps by which layers of a network in 8 bits can get more precision, the most useful one first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from calibration.estimated_costs import LayerCosts
from calibration.explore.sensitivity import LayerNoise
from calibration.onnx_graph import OnnxGraph
from calibration.placement import Placement


class Precision(StrEnum):
    """What a layer has in place of 8 bits."""

    WIDE = "16 bits"
    """Its input has 16 bits, its weights have 8."""
    FLOAT = "float"


@dataclass(frozen=True)
class LayerPrice:
    """The time that a layer takes with more precision, beyond its time in 8 bits, as shares of the network's.

    `wide` is None for a layer whose input cannot have 16 bits.
    """

    wide: float | None
    in_float: float

    def of(self, precision: Precision) -> float:
        """The price of one of them."""
        if precision is Precision.WIDE:
            assert self.wide is not None  # noqa: S101 -- no step leads to it otherwise
            return self.wide
        return self.in_float


@dataclass(frozen=True)
class PrecisionStep:
    """A layer gets `precision`; `use` is the noise that this takes away alone, over the time that it adds."""

    layer: str
    precision: Precision
    use: float


def prices_of(
    graph: OnnxGraph, placement: Placement, noise: Mapping[str, LayerNoise]
) -> dict[str, LayerPrice]:
    """Estimate the prices of the layers of `noise`. Raises ModelError where sizes are not known."""
    costs, nodes = LayerCosts(graph), [graph.nodes[index] for index in placement.layers]
    whole = costs.of_network(placement)
    return {
        node.name: LayerPrice(
            None if noise[node.name].wide_db is None else costs.of_wide(node.input[0]) / whole,
            costs.of_float(node) / whole,
        )
        for node in nodes
    }


def steps(noise: Mapping[str, LayerNoise], prices: Mapping[str, LayerPrice]) -> list[PrecisionStep]:
    """All steps, in the order of their use; at their end every layer is in float.

    A layer goes to 16 bits and from there to float, or to float at once if 16 bits take away less noise for
    their price than float.
    """
    found = [step for layer in noise for step in _of_layer(layer, noise[layer], prices[layer])]
    return sorted(found, key=lambda step: -step.use)


def _of_layer(layer: str, noise: LayerNoise, price: LayerPrice) -> Iterator[PrecisionStep]:
    narrow = _power(noise.int8_db)
    if noise.wide_db is not None and price.wide is not None:
        left = _power(noise.wide_db)
        first, second = (narrow - left) / price.wide, left / max(price.in_float - price.wide, 1e-9)
        if first >= second:
            yield PrecisionStep(layer, Precision.WIDE, first)
            yield PrecisionStep(layer, Precision.FLOAT, second)
            return
    yield PrecisionStep(layer, Precision.FLOAT, narrow / price.in_float)


def _power(sqnr_db: float) -> float:
    """The noise's share of the signal's power."""
    return float(10 ** (-sqnr_db / 10))
