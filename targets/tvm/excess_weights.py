"""Chooses the weights that are multiplied apart, so that sums of four products of seven bits fit int16.

vpmaddubsw adds the products of two neighbouring bytes, and the kernel adds those of two granules: four
weights, all with activations from 0 to 127. Where the sum of the weights of one sign is too large, those of
the second granule are moved to a list. The remaining sums fit for every input.
"""

import numpy as np
from numpy.typing import NDArray

from targets.tvm.kernels.split_bytes import GRANULE, MASK_BYTES, MASK_CHANNELS, MOST_LOW, SplitBytes
from targets.tvm.kernels.split_products import EXCESS_HEADER, excess_bounds
from targets.tvm.kernels.window_runs import WindowRuns

MOST_TOGETHER = (1 << 15) // MOST_LOW
"""The largest sum of four weights of one sign: times 127 it fits int16."""


def exceeding(packed: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Where four weights are too large: [block, run, pair of granules, channel, half of a granule]."""
    blocks, runs, granules, channels, _ = packed.shape
    fours = packed.astype(np.int64).reshape(blocks, runs, granules // 2, 2, channels, 2, GRANULE // 2)
    up, down = np.maximum(fours, 0).sum(axis=(3, 6)), -np.minimum(fours, 0).sum(axis=(3, 6))
    found: NDArray[np.bool_] = np.maximum(up, down) > MOST_TOGETHER
    return found


def without_excess(packed: NDArray[np.int8], windows: WindowRuns, split: SplitBytes) -> NDArray[np.int8]:
    """Weights [block, run, granule, channel, 4] without the moved ones, followed by the list as bytes.

    The list: for each block where its entries begin, and where the last one's end; then the entries: the
    offset of a granule's activations from a window's first, its mask and its bit in it, and its weights.
    """
    blocks, _, _, channels, _ = packed.shape
    out = np.repeat(exceeding(packed), GRANULE // 2, axis=-1)
    kept, second = packed.copy(), packed[:, :, 1::2]
    kept[:, :, 1::2] = np.where(out, 0, second)
    taken = np.where(out, second, 0)
    block, run, pair = np.nonzero(out.any(axis=(3, 4)))
    row, column = np.divmod(run, windows.taps[1])
    start = row * windows.tap_step[0] + column * windows.tap_step[1]
    pixel, granule = np.divmod(2 * pair + 1, split.channels // GRANULE)
    mask, bit = np.divmod(granule, MASK_CHANNELS // GRANULE)
    column = column * (windows.tap_step[1] // split.channels) + pixel
    masks = row * (windows.tap_step[0] // MASK_BYTES) + column * split.masks + mask
    header = np.stack([start + (2 * pair + 1) * GRANULE, masks, bit], axis=1).astype("<i4")
    bounds = np.zeros(excess_bounds(blocks) // 4, "<i4")
    bounds[: blocks + 1] = np.searchsorted(block, np.arange(blocks + 1))
    entries = np.zeros((len(block), EXCESS_HEADER + channels * GRANULE), np.int8)
    entries[:, : 4 * 3] = header.view(np.int8)
    entries[:, EXCESS_HEADER:] = taken[block, run, pair].reshape(len(block), channels * GRANULE)
    return np.concatenate([kept.reshape(-1), bounds.view(np.int8), entries.reshape(-1)])
