"""Class names from a text file, one a line."""

from pathlib import Path

from pipeline.errors import DataError
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import NAMES_BYTES


def read_classes(folder: Path) -> tuple[str, ...] | None:
    """Return the lines of classes.txt in `folder`, or None if there is no such file.

    Raises DataError if a name is empty or repeated, or if the file is not UTF-8.
    """
    path = folder / "classes.txt"
    if not path.is_file():
        return None
    try:
        text = read_plain(path, NAMES_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    names = tuple(line.strip() for line in text.splitlines())
    seen: set[str] = set()
    for line, name in enumerate(names, start=1):
        if not name or name in seen:
            raise DataError(f"{path}, line {line}: {name!r} is empty or repeated. Write one name per line.")
        seen.add(name)
    return names
