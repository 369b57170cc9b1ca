"""The gains that B gives a layer's output channels, told by its weights alone, whatever its input is."""

from dataclasses import replace

import numpy as np

from pipeline.difference.decibels import by_channel, ratio_db
from pipeline.difference.layer_check import LayerConstants, layer_constants
from pipeline.difference.place import Array, GraphPlace, Sides
from pipeline.difference.weights_compared import ComparedWeights, of_groups, output_gains

SAME_WEIGHTS_DB = 12.0
"""The least that B's weights agree with A's times gains. Those of another checkpoint agree less."""
EQUAL_DB = 25.0
"""What rounding to 8 bits leaves of weights, at least."""
NEAR = 0.1
"""How far a factor may be from 1."""


def gains_by_weights(
    sides: Sides, place: GraphPlace, constants: LayerConstants | None, input_gains: Array | None
) -> Array | None:
    """Return what B's output channels are times A's, float64 [out]; None where the weights do not tell.

    input_gains: those of the input channels; None for a first layer. Its weights may contain the pictures'
    scale, so its gains are believed only if the biases have them too, or if both sides read equal numbers.
    """
    if constants is None or constants.ours.weight.shape != constants.theirs.weight.shape:
        return None
    ours, theirs = constants.ours, constants.theirs
    turned = replace(ours, weight=ours.weight[..., ::-1])
    for one in (ours, turned):
        gains = _agreeing(one, theirs, input_gains)
        if gains is None:
            continue
        known = input_gains is not None or _in_biases(ours, theirs, gains)
        return gains if known or _reads_equal_numbers(sides, place) else None
    return None


def has_the_same_weights(sides: Sides, place: GraphPlace) -> bool:
    """Whether B's layer has A's weights as they are, so that it takes no gains back and adds none."""
    constants = layer_constants(sides, place, None)
    if constants is None or constants.ours.weight.shape != constants.theirs.weight.shape:
        return False
    return ratio_db(constants.ours.weight, constants.theirs.weight) >= EQUAL_DB


def _agreeing(ours: ComparedWeights, theirs: ComparedWeights, input_gains: Array | None) -> Array | None:
    """Return the gains that make A's weights B's; None where none do."""
    given = np.ones(1) if input_gains is None else input_gains
    gains = output_gains(ours, theirs, given)
    wanted = ours.weight * gains[:, None, None]
    found = theirs.weight * of_groups(given, ours.weight)
    return gains if (gains > 0).all() and ratio_db(found, wanted) >= SAME_WEIGHTS_DB else None


def _in_biases(ours: ComparedWeights, theirs: ComparedWeights, gains: Array) -> bool:
    wanted = ours.bias * gains
    power = float(wanted @ wanted)
    if power == 0:
        return False
    factor = float(wanted @ theirs.bias) / power
    return abs(factor - 1) < NEAR and ratio_db(theirs.bias, wanted) > SAME_WEIGHTS_DB


def _reads_equal_numbers(sides: Sides, place: GraphPlace) -> bool:
    """Whether what both first layers read has the same mean and spread over all pixels."""
    if place.counterpart is None or len(place.given) != 1:
        return False
    (seen,) = place.given.values()
    read = sides.b_values.get(place.counterpart.reads[0])
    if read is None or read.shape != seen.shape:
        return False
    ours, theirs = by_channel(seen), by_channel(read)
    spread = float(ours.std())
    near_spread = abs(float(theirs.std()) / max(spread, 1e-30) - 1) < NEAR
    return near_spread and abs(float(theirs.mean() - ours.mean())) < NEAR * spread
