"""Class names from a text file, one a line."""

from pathlib import Path

from pipeline.errors import DataError


def read_classes(folder: Path) -> tuple[str, ...] | None:
    """Return the lines of classes.txt in `folder`, or None if there is no such file.

    Raises DataError if a name is empty or repeated, or if the file is not UTF-8.
    """
    path = folder / "classes.txt"
    if not path.is_file():
        return None
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}.") from error
    for line, name in enumerate(names, start=1):
        if not name or name in names[: line - 1]:
            raise DataError(f"{path}, line {line}: {name!r} is empty or repeated. Write one name per line.")
    return names
