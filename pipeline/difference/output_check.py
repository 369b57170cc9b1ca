"""Checks the logits for usual differences: another order of classes, a softmax, a factor."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.difference.channelwise_fit import channel_order
from pipeline.difference.decibels import ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind

Array = NDArray[Any]
GAIN_DB = 6.0


def check_output(place: str, found: Array, expected: Array) -> Discrepancy | None:
    """Compare A's logits [N, K, ...], computed from the input of B's last layer, with B's."""
    if found.size != expected.size:
        return None
    found = found.reshape(expected.shape)
    before = ratio_db(expected, found)
    for words, changed in _functions(found):
        if (after := ratio_db(expected, changed)) > max(before + GAIN_DB, 20):
            remedy = "Compare logits with logits: leave the last function out of B, or put it behind A."
            return Discrepancy(
                FaultKind.OUTPUT_FUNCTION, place, f"B's outputs are {words}", before, after, remedy
            )
    order = channel_order(found, expected)
    if order is not None and (after := order.agreement_db) > max(before + GAIN_DB, 15):
        first = order.order[:12].tolist()
        evidence = f"{order.moved} of {len(order.order)} classes stand in another order in B: {first}"
        remedy = "Name the classes in the order of each network's outputs (labels)."
        return Discrepancy(FaultKind.CLASS_ORDER, place, evidence, before, after, remedy)
    return None


def _functions(logits: Array) -> Iterator[tuple[str, Array]]:
    shifted = logits - logits.max(1, keepdims=True)
    power = np.exp(shifted.astype(np.float64))
    shares = power / power.sum(1, keepdims=True)
    yield "probabilities (softmax)", shares
    yield "logarithms of probabilities (log-softmax)", np.log(np.maximum(shares, 1e-300))
    yield "squashed one by one (sigmoid)", 1 / (1 + np.exp(-logits.astype(np.float64)))
