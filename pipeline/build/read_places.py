"""The files and folders that a build has read, or where it looked for something."""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from pipeline.build.request import Request
from pipeline.data.tar_shards import shard_files
from pipeline.models.foreign.description import ForeignModel, labels_file
from pipeline.models.zoo import KnownModel, places_of_weights
from targets.tvm.tuning import database


def data_of(one: Request) -> Path | None:
    """Return the file or folder that holds all of the data set; None where it is several files."""
    place = Path(one.dataset.location)
    return None if shard_files(one.dataset.location) and not place.is_dir() else place


def led_to(one: Request) -> Iterator[Path]:
    """Yield the pictures, weights with their parts, where weights were looked for, and the user's tiles."""
    yield Path(one.dataset.location)
    waiting = [one.checkpoint]
    while waiting:
        file = waiting.pop()
        yield file.path
        waiting += file.parts
    yield database.users()
    match one.model:
        case KnownModel():
            yield from places_of_weights(one.model, one.config.data)
        case ForeignModel():
            if (labels := labels_file(one.model.path)) is not None:
                yield labels
        case _:
            assert_never(one.model)
