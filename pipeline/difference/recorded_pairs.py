"""Checks that recorded logits belong to the pictures that are given."""

from itertools import zip_longest

from pipeline.difference.picture_source import PictureFiles, PictureSource
from pipeline.difference.side import Side, Unprepared
from pipeline.errors import UsageError


def check_pairs(side: Side | Unprepared, source: PictureSource) -> None:
    """Raise UsageError if there are more or fewer recorded logits than pictures, or of others by their names.

    Both are in the order of their names. Where some names are equal, all have to be.
    """
    if not isinstance(side, Side) or not side.recorded or not isinstance(source, PictureFiles):
        return
    recorded, pictures = side.recorded_of, tuple(path.stem for path in source.files)
    if recorded and len(recorded) != len(pictures):
        raise UsageError(
            f"{side.name} has logits of {len(recorded)} pictures, and {len(pictures)} are given. Give one"
            " file of logits for each picture."
        )
    if side.recorded != len(pictures):
        raise UsageError(
            f"{side.name} has logits of {side.recorded} pictures, and {len(pictures)} are given. Give a"
            " picture for each row, in the order of the rows."
        )
    if set(recorded) & set(pictures) and recorded != pictures:
        one, other = next(pair for pair in zip_longest(recorded, pictures) if pair[0] != pair[1])
        raise UsageError(
            f"The logits {one}.npy in {side.name} would be compared with the picture {other}. Name the logits"
            " as the pictures, and give one file of logits for each picture."
        )
