"""Registers that are interleaved and packed hold each channel once, and it is known where."""

import numpy as np
import pytest

from targets.tvm.kernels.register_order import (
    Groups,
    as_bytes,
    as_words,
    channels_of,
    interleaved,
    one_after_the_other,
)

LANES = [4, 8, 16]
TURNS = [0, 2, 4]


def groups_of(turns: int, lanes: int) -> Groups:
    return interleaved(turns, lanes) if turns else one_after_the_other(lanes)


def packed(groups: Groups) -> Groups:
    """Two registers as one, as vectors pack them: in each 128 bits the first one, then the other."""
    return np.concatenate([groups[:-1:2, :, None], groups[1::2, :, None]], axis=2).reshape(
        len(groups) // 2, -1
    )


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("turns", TURNS)
def test_each_channel_is_in_one_place(turns: int, lanes: int) -> None:
    groups = groups_of(turns, lanes)
    assert sorted(channels_of(groups).reshape(-1)) == list(range(len(groups) * lanes))


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("turns", TURNS)
def test_packed_words_are_put_in_order(turns: int, lanes: int) -> None:
    groups = groups_of(turns, lanes)
    found = packed(groups).reshape(-1)
    assert [found[place] for place in as_words(groups)] == list(range(groups.size))


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("turns", TURNS)
def test_packed_bytes_are_put_in_order(turns: int, lanes: int) -> None:
    groups = groups_of(turns, lanes)
    four = groups if len(groups) == 4 else groups[[0, 1, 1, 1]]
    found = four.T.reshape(-1)  # bytes of each 128 bits: a group of every register
    assert [found[place] for place in as_bytes(groups)] == list(range(groups.size))


@pytest.mark.parametrize("lanes", LANES)
def test_what_is_unpacked_as_it_is_packed_needs_no_change(lanes: int) -> None:
    assert as_bytes(interleaved(4, lanes)) == list(range(lanes))
    assert as_words(interleaved(2, lanes)) == list(range(lanes // 2))
