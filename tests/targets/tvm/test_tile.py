"""Blocks cover a map: every row and column once."""

from hypothesis import given
from hypothesis import strategies as st

from targets.tvm.tile import Cut, Tile, cut, regions


def covered(pieces: list[Cut] | tuple[Cut, ...]) -> list[int]:
    return [
        piece.first + block * piece.size + i
        for piece in pieces
        for block in range(piece.count)
        for i in range(piece.size)
    ]


@given(length=st.integers(1, 300), most=st.integers(1, 40))
def test_as_few_pieces_as_possible_of_almost_equal_size_cover_a_length_once(length: int, most: int) -> None:
    pieces = cut(length, most)
    sizes = [piece.size for piece in pieces for _ in range(piece.count)]
    assert covered(pieces) == list(range(length))
    assert len(sizes) == -(-length // most)
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


@given(length=st.integers(1, 300), most=st.integers(1, 20))
def test_pairs_go_beyond_an_odd_length_by_one(length: int, most: int) -> None:
    pieces = cut(length, 2 * most, 2)
    assert all(piece.size % 2 == 0 and piece.first % 2 == 0 for piece in pieces)
    assert covered(pieces) == list(range(length + length % 2))


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    rows=st.integers(1, 4),
    columns=st.integers(1, 28),
    unit=st.sampled_from([1, 2]),
)
def test_regions_cover_a_map_once_with_blocks_no_larger_than_the_tile(
    size: tuple[int, int], rows: int, columns: int, unit: int
) -> None:
    (height, width), tile = size, Tile(rows * unit, columns, 1)
    found = list(regions(height, width, tile, unit))
    pixels = [(y, x) for down, right in found for y in covered([down]) for x in covered([right])]
    assert sorted(pixels) == [(y, x) for y in range(-(-height // unit) * unit) for x in range(width)]
    assert all(down.size * right.size <= max(tile.pixels, tile.columns * down.size) for down, right in found)


def test_the_rows_that_are_left_get_blocks_of_as_many_pixels() -> None:
    found = list(regions(7, 7, Tile(2, 3, 4), 1))
    assert [(down.count, down.size, right.count, right.size) for down, right in found] == [
        (3, 2, 1, 3),
        (3, 2, 2, 2),
        (1, 1, 1, 4),
        (1, 1, 1, 3),
    ]
