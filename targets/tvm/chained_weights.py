"""Finds the granules whose products are added up together in int16: see `kernels.chained_products`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targets.tvm.kernels.chained_products import MOST_TOGETHER, Chains

_WORTH = 0.8
"""The least share of granules that have to go together: single ones cost more than without a list."""


@dataclass(frozen=True, eq=False)
class Chained:
    """The order of granules in each block of channels [block, granule]: first `pairs` [block] pairs of them.

    The number of pairs is even: the kernel multiplies two at a time.
    """

    order: NDArray[np.int64]
    pairs: NDArray[np.int64]

    @property
    def is_worth_it(self) -> bool:
        """Whether enough granules go together."""
        return bool(2 * self.pairs.sum() >= _WORTH * self.order.size)

    @property
    def chains(self) -> Chains:
        """What the kernel has to know."""
        return Chains(self.order.shape[1], bool(self.pairs.min() > 0))

    def pack(self, weights: NDArray[np.int8], offsets: NDArray[np.int64]) -> NDArray[np.int8]:
        """Weights [block, granule, channel, byte] in order, of pairs channel by channel; then the list.

        `offsets` [granule]: where the activations of each granule are.
        """
        listed = np.zeros((len(weights), self.chains.row), "<i4")
        parts = []
        for block, (found, order, pairs) in enumerate(zip(weights, self.order, self.pairs, strict=True)):
            ordered = found[order]
            two = ordered[: 2 * pairs].reshape(pairs, 2, *found.shape[1:]).transpose(0, 2, 1, 3)
            parts += [two.reshape(-1), ordered[2 * pairs :].reshape(-1)]
            listed[block, : len(order)] = offsets[order]
            listed[block, len(order)] = pairs // 2
        return np.concatenate([*parts, listed.reshape(-1).view(np.int8)])


def chained(weights: NDArray[np.int8]) -> Chained:
    """Pair the granules of weights [block, granule, channel, byte] whose products fit int16 together.

    Each time, the granule that fits the fewest others gets the one of these that fits the fewest.
    """
    fits = _fits(weights)
    blocks, granules = fits.shape[:2]
    each, left = np.arange(blocks), fits.sum(axis=2)
    order = np.zeros((blocks, granules), np.int64)
    pairs, alone = np.zeros(blocks, np.int64), np.ones((blocks, granules), bool)
    none = granules + 1
    while left.any():
        first = np.where(left > 0, left, none).argmin(axis=1)
        second = np.where(fits[each, first], left, none).argmin(axis=1)
        some = each[left[each, first] > 0]
        for which, chosen in enumerate((first[some], second[some])):
            order[some, 2 * pairs[some] + which] = chosen
            alone[some, chosen] = False
            left[some] -= fits[some, :, chosen]
            fits[some, :, chosen] = fits[some, chosen] = False
            left[some, chosen] = 0
        pairs[some] += 1
    for block in range(blocks):
        order[block, 2 * pairs[block] :] = np.flatnonzero(alone[block])
    return Chained(order, pairs // 2 * 2)  # the last ones of the order are single then


def _fits(weights: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whether the products of two granules fit int16 together [block, granule, granule]; none fits itself."""
    blocks, granules, channels, size = weights.shape
    halves = np.abs(weights.astype(np.int16)).reshape(blocks, granules, channels, 2, size // 2)
    sums = halves.sum(axis=3, dtype=np.int16).reshape(blocks, granules, -1)
    found = np.zeros((blocks, granules, granules), bool)
    for block, one in enumerate(sums):
        for granule in range(granules):
            found[block, granule] = (one + one[granule]).max(axis=1) <= MOST_TOGETHER
        np.fill_diagonal(found[block], False)
    return found
