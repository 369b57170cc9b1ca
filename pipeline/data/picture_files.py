"""Reads pictures that a user names on the command line."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, NoSuchDataError
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import PICTURE_BYTES
from targets.runtime.preprocess import ImageError, decode


def picture_files(given: Iterable[Path]) -> Iterator[Path]:
    """Yield the given pictures, and what is in given folders; a pipe there is refused where it is read.

    Raises NoSuchDataError for an empty folder.
    """
    for path in given:
        if path.is_dir():
            files = sorted(one for one in path.rglob("*") if not one.is_dir())
            if not files:
                raise NoSuchDataError(f"The folder {path} has no files. Give pictures, or a folder of them.")
            yield from files
        else:
            yield path


def read_picture(path: Path, channels: int) -> NDArray[np.uint8]:
    """Return a picture as uint8 [H, W, channels]. Raises DataError naming one that cannot be read.

    It is a NoSuchDataError if nothing is there, or no picture.
    """
    try:
        return decode(read_plain(path, PICTURE_BYTES), channels)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoSuchDataError(f"There is no picture {path}. Give its file.") from error
    except OSError as error:
        raise DataError(f"The picture {path} cannot be read: {error.strerror}.") from error
    except ImageError as error:
        raise NoSuchDataError(
            f"The picture {path} cannot be read: {error}. Give another, such as a PNG or JPEG file."
        ) from error
