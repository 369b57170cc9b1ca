"""Weights that cannot saturate where products are added in 16 bits, rounded by second order.

The positive weights of a pair of neighbours (see `weight_pairs`) must not add up to more than 128, nor the
negative ones. Clipping such pairs costs far more accuracy than rounding does. Three measures avoid most of
that loss:

- the two weights of a pair are rounded together: of all integers that the limit allows, those of least error
  once the error has moved on, as second-order rounding moves it (`rounding`);
- what is left moves onto the weights that are not rounded yet;
- an output channel that the limit touches may take a larger scale, so that its weights are smaller integers.
  Of all scales from its own to twice that, at which no pair is too large, the one of least error is taken.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.grid import WEIGHT_LIMIT, QuantizedWeight
from calibration.second_order import inverse_factor
from calibration.weight_pairs import PAIR_LIMIT, neighbours

BLOCK = 128
GROWTH = np.linspace(1, 2, 17)
"""By how much a channel's scale may grow."""

Rows = NDArray[np.float64]


def unsaturated_rounding(
    weight: NDArray[np.float32], scales: NDArray[np.float32], hessian: NDArray[np.float64]
) -> QuantizedWeight:
    """Round `weight` [K, ...] so that no pair of neighbours can leave int16, at `scales` [K] or larger ones.

    `hessian` [G, D, D] is positive definite, one for each group of the layer's inputs.
    """
    groups = len(hessian)
    pairs = neighbours(weight.shape, groups)
    rows = weight.reshape(groups, len(weight) // groups, -1).astype(np.float64)
    steps = scales.reshape(groups, -1).astype(np.float64)
    values, found = [], []
    for group, step, curvature in zip(rows, steps, hessian, strict=True):
        integers, grown = _least_error(group, step, _Elimination.of(curvature, pairs))
        values.append(integers)
        found.append(grown)
    return QuantizedWeight(
        np.concatenate(values).reshape(weight.shape).astype(np.int8), np.concatenate(found).astype(np.float32)
    )


def _least_error(weight: Rows, step: Rows, elimination: "_Elimination") -> tuple[Rows, Rows]:
    """Integers [K, D] and scales [K]: those of least error among the grown scales."""
    integers, errors, limited = elimination.rounded(weight, step)
    scales = step.copy()
    rows = np.flatnonzero(limited)
    for growth in GROWTH[1:] if len(rows) else ():
        tried, error, _ = elimination.rounded(weight[rows], _as_float32(step[rows] * growth))
        better = error < errors[rows]
        chosen = rows[better]
        integers[chosen], errors[chosen] = tried[better], error[better]
        scales[chosen] = _as_float32(step[chosen] * growth)
    return integers, scales


def _as_float32(scales: Rows) -> Rows:
    """A scale as it is stored, in float32."""
    return scales.astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class _Elimination:
    """Columns in the order in which they are rounded, neighbours next to each other.

    `upper` is the Cholesky factor of the inverse Hessian in that order: row i says how an error of column i
    moves onto those behind it. `partners` are each column's neighbours, `joint` whether the next column is
    one that is rounded together with it.
    """

    order: NDArray[np.intp]
    upper: Rows
    partners: tuple[tuple[int, ...], ...]
    joint: NDArray[np.bool_]

    @classmethod
    def of(cls, hessian: Rows, pairs: NDArray[np.intp]) -> "_Elimination":
        neighbours_of: defaultdict[int, list[int]] = defaultdict(list)
        for a, b in pairs.tolist():
            neighbours_of[a].append(b)
            neighbours_of[b].append(a)
        order: list[int] = []
        joint: list[bool] = []
        placed: set[int] = set()
        for column in np.argsort(-np.diag(hessian), kind="stable").tolist():
            if column in placed:
                continue
            other = next((one for one in neighbours_of[column] if one not in placed), None)
            order += [column] if other is None else [column, other]
            joint += [False] if other is None else [True, False]
            placed |= {column} if other is None else {column, other}
        position = {column: at for at, column in enumerate(order)}
        partners = tuple(tuple(position[other] for other in neighbours_of[column]) for column in order)
        in_order = np.array(order)
        return cls(in_order, inverse_factor(hessian, in_order), partners, np.array(joint))

    def rounded(self, weight: Rows, step: Rows) -> tuple[Rows, Rows, NDArray[np.bool_]]:
        """Integers [K, D], each row's squared error [K], and which rows the limit touched [K]."""
        rest, width = weight[:, self.order], weight.shape[1]
        integers, total = np.zeros(rest.shape), np.zeros(len(rest))
        limited = np.zeros(len(rest), np.bool_)
        start = 0
        while start < width:
            stop = min(start + BLOCK, width)
            stop -= int(stop < width and self.joint[stop - 1])
            errors = np.zeros((len(rest), stop - start))
            for i in range(start, stop):
                wanted = rest[:, i] / step
                low, high = self._bounds(i, integers)
                chosen = np.clip(np.rint(wanted), low, high)
                if self.joint[i]:
                    chosen = self._together(i, rest, step, integers, chosen)
                limited |= chosen != np.clip(np.rint(wanted), -WEIGHT_LIMIT, WEIGHT_LIMIT)
                integers[:, i] = chosen
                error = (rest[:, i] - chosen * step) / self.upper[i, i]
                rest[:, i + 1 : stop] -= error[:, None] * self.upper[i, i + 1 : stop]
                errors[:, i - start] = error
            rest[:, stop:] -= errors @ self.upper[start:stop, stop:]
            total += (errors * errors).sum(axis=1)
            start = stop
        values = np.empty(integers.shape)
        values[:, self.order] = integers
        return values, total, limited

    def _bounds(self, i: int, integers: Rows) -> tuple[Rows, Rows]:
        """The bounds of column i, [K] each, given its rounded neighbours; the others count as 0."""
        low, high = (np.full(len(integers), sign * WEIGHT_LIMIT, np.float64) for sign in (-1, 1))
        for other in self.partners[i]:
            low = np.maximum(low, np.maximum(-integers[:, other], 0) - PAIR_LIMIT)
            high = np.minimum(high, PAIR_LIMIT - np.maximum(integers[:, other], 0))
        return low, high

    def _together(self, i: int, rest: Rows, step: Rows, integers: Rows, chosen: Rows) -> Rows:
        """Choose column i so that it and the next, its neighbour, come out best together."""
        own, move, next_own = self.upper[i, i], self.upper[i, i + 1], self.upper[i + 1, i + 1]
        low, high = self._bounds(i + 1, integers)
        behind = rest[:, i + 1] - (rest[:, i] - chosen * step) / own * move
        nearest = np.rint(behind / step)
        too_large = (nearest > np.minimum(high, PAIR_LIMIT - np.maximum(chosen, 0))) | (
            nearest < np.maximum(low, np.maximum(-chosen, 0) - PAIR_LIMIT)
        )
        rows = np.flatnonzero(too_large)
        if not len(rows):
            return chosen
        tried = np.arange(-WEIGHT_LIMIT, WEIGHT_LIMIT + 1, dtype=np.float64)
        own_low, own_high = self._bounds(i, integers)
        error = (rest[rows, i, None] - tried * step[rows, None]) / own
        moved = rest[rows, i + 1, None] - error * move
        top = np.minimum(high[rows, None], PAIR_LIMIT - np.maximum(tried, 0))
        bottom = np.maximum(low[rows, None], np.maximum(-tried, 0) - PAIR_LIMIT)
        second = np.clip(np.rint(moved / step[rows, None]), bottom, top)
        second_error = (moved - second * step[rows, None]) / next_own
        cost = error * error + second_error * second_error
        outside = (tried < own_low[rows, None]) | (tried > own_high[rows, None])
        best = chosen.copy()
        best[rows] = tried[np.argmin(np.where(outside, np.inf, cost), axis=1)]
        return best
