"""Compares the constants of one layer in both networks, and names the difference."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calibration.onnx_graph import attribute
from pipeline.difference.channelwise_fit import ChannelAffine
from pipeline.difference.decibels import ratio_db
from pipeline.difference.place import Array, GraphPlace, Sides
from pipeline.difference.real_graph import LAYERS
from pipeline.difference.weights_compared import (
    ComparedWeights,
    NamedDifference,
    compare_biases,
    compare_layers,
    input_gains_of,
    layer_weights,
    name_gains,
    output_gains,
    vary,
)

SAME_BIAS_DB = 12.0
"""The least that biases agree that are corrected for other rounding."""
TAKEN_BACK = 0.9
"""The least correlation of a layer's gains with those that the next layer takes back."""


@dataclass(frozen=True)
class LayerConstants:
    """A layer's weights in A and in B."""

    ours: ComparedWeights
    theirs: ComparedWeights
    named: NamedDifference | None
    """A difference of the weights that is not a gain of whole channels."""
    gains: Array
    """What B's output channels are times A's, by the weights."""

    @property
    def gains_vary(self) -> bool:
        """Whether channels have different gains."""
        return vary(self.gains)

    def name_affine(self, sides: Sides, place: GraphPlace, fitted: ChannelAffine) -> NamedDifference:
        """Name gains and shifts of a layer's output: equalisation changes gains alone."""
        if self.gains_vary and not taken_back(sides, place.node.output, self.gains):
            return name_gains(
                self.theirs, self.gains, expected_gains(sides, place.node.output, len(self.gains))
            )
        return compare_biases(self.ours, self.theirs, fitted)


def layer_constants(sides: Sides, place: GraphPlace, input_gains: Array | None) -> LayerConstants | None:
    """Return a layer's constants in both networks; None if one of them has none in this place."""
    layer, other = place.layer, place.counterpart
    if layer is None or other is None or layer.operator != other.operator:
        return None
    ours, theirs = layer_weights(sides.a, layer), layer_weights(sides.b, other)
    if ours is None or theirs is None:
        return None
    named = compare_layers(ours, theirs)
    same = ours.weight.shape == theirs.weight.shape
    gains = output_gains(ours, theirs, input_gains) if same else np.ones(1)
    return LayerConstants(ours, theirs, named, gains)


def taken_back(sides: Sides, tensor: str, gains: Array) -> bool:
    """Whether the next layers in B divide by these gains, as those of an equalised network do."""
    expected = _expected(sides, tensor, len(gains))
    found = [one for one in (_correlation(gains, other) for other in expected) if one is not None]
    return bool(found) and min(found) > TAKEN_BACK


def expected_gains(sides: Sides, tensor: str, count: int) -> Array | None:
    """Return the gains of a tensor's channels that the next layers in B divide by, up to one factor.

    None where they divide by none, or not by the same.
    """
    found = _expected(sides, tensor, count)
    if not found or not vary(found[0]) or any((one <= 0).any() for one in found):
        return None
    alike = all((_correlation(one, found[0]) or 0.0) > TAKEN_BACK for one in found)
    return found[0] if alike else None


def expected_factor(sides: Sides, tensor: str, gains: Array) -> float | None:
    """Return the factor of the gains that a next layer in B divides by, which its bias does not have."""
    for reader, constants in _read_by(sides, tensor, len(gains)):
        every = input_gains_of(constants.ours, constants.theirs)
        wanted = constants.ours.bias * output_gains(constants.ours, constants.theirs, every)
        found, power = constants.theirs.bias, float(wanted @ wanted)
        factor = float(wanted @ found) / power if power > 0 else 0.0
        if factor > 0 and ratio_db(found, wanted * factor) >= SAME_BIAS_DB:
            own = every[reader.first : reader.first + len(gains)]
            return factor * float(np.exp(np.log(abs(own / gains)).mean()))
    return None


def _correlation(gains: Array, other: Array) -> float | None:
    """Return the correlation of two sets of gains, by their logarithms; None where one does not vary."""
    x, y = np.log(abs(gains)), np.log(abs(other))
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else None


def _expected(sides: Sides, tensor: str, count: int) -> list[Array]:
    return [
        input_gains_of(constants.ours, constants.theirs)[reader.first : reader.first + count]
        for reader, constants in _read_by(sides, tensor, count)
    ]


def _read_by(sides: Sides, tensor: str, count: int) -> Iterator[tuple["ChannelReader", LayerConstants]]:
    """Yield the next layers whose weights are A's, up to gains, and have an input for each channel."""
    for reader in _next_layers(sides, tensor):
        place = sides.place(reader.layer) if reader.layer in sides.matching.names else None
        constants = None if place is None else layer_constants(sides, place, None)
        if constants is None or constants.named is not None:
            continue
        if constants.ours.weight.shape[1] == reader.width and reader.first + count <= reader.width:
            yield reader, constants


@dataclass(frozen=True)
class ChannelReader:
    """A layer that reads a tensor as its channels from `first` on, of `width` together."""

    layer: str
    first: int
    width: int


def _next_layers(sides: Sides, tensor: str) -> list[ChannelReader]:
    """Return the layers that read a tensor, or what operators without weights make of its channels."""
    first, layers = {tensor: 0}, []
    for node in sides.a.nodes:
        read = next((name for name in node.inputs if name in first), None)
        if read is None:
            continue
        if node.operator in LAYERS:
            layers.append(ChannelReader(node.output, first[read], _channels(sides, read)))
        elif node.operator == "Concat" and attribute(node.proto, "axis", 0) == 1:
            before = node.inputs[: node.inputs.index(read)]
            first[node.output] = first[read] + sum(_channels(sides, name) for name in before)
        elif _channels(sides, node.output) == _channels(sides, read):
            first[node.output] = first[read]
    return layers[:3]


def _channels(sides: Sides, tensor: str) -> int:
    values = sides.a_values[tensor] if tensor in sides.a_values else sides.a.constants[tensor]
    return values.shape[1] if values.ndim > 1 else 0
