"""Which channels registers of sums have. Where vectors are interleaved, they are in another order."""

import numpy as np
from numpy.typing import NDArray

Groups = NDArray[np.int64]
"""Numbers of groups of four channels, by register and by its 128 bits."""

TOGETHER = 4
"""Registers that are packed to one of bytes."""


def one_after_the_other(lanes: int) -> Groups:
    """The groups of channels of TOGETHER registers of `lanes` sums, each with the next channels."""
    return np.arange(TOGETHER * lanes // 4).reshape(TOGETHER, -1)


def interleaved(registers: int, lanes: int) -> Groups:
    """The groups of registers that take turns, as vectors are interleaved in each 128 bits by themselves."""
    return np.arange(registers * lanes // 4).reshape(-1, registers).T


def channels_of(groups: Groups) -> NDArray[np.int64]:
    """The channels of each register."""
    return (groups[:, :, None] * 4 + np.arange(4)).reshape(len(groups), -1)


def as_bytes(groups: Groups) -> list[int]:
    """Where the groups are, from the first one on, when TOGETHER registers are packed to one of bytes.

    Where there are fewer registers, the last one is packed more than once.
    """
    whole = np.concatenate([groups, *[groups[-1:]] * (TOGETHER - len(groups))])
    return _places(whole.T)


def as_words(groups: Groups) -> list[int]:
    """The same when each two registers are packed to one of int16."""
    return _places(groups.reshape(len(groups) // 2, 2, -1).transpose(0, 2, 1))


def _places(packed: Groups) -> list[int]:
    return list(map(int, np.unique(packed.reshape(-1), return_index=True)[1]))
