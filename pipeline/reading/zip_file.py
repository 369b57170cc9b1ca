"""Opens zip files that others made: plain files, whose list of members is bounded before it is read."""

import zipfile
from pathlib import Path

from pipeline.reading.plain_file import is_plain
from pipeline.reading.reading_limits import ZIP_LIST_BYTES, ZIP_LIST_SHARE

LIST_BYTES = 5
"""Place of the size of the list in what `_EndRecData` returns (PKWARE APPNOTE 4.3.16)."""


def is_zip(path: Path) -> bool:
    """Whether a plain file is a zip; zipfile alone would read a device to its end, which never comes."""
    return is_plain(path) and zipfile.is_zipfile(path)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip. Raises OSError, BadZipFile also for a list of members that is too long to be read.

    zipfile makes an object of half a kilobyte for each member as soon as it opens a file.
    """
    if not is_plain(path):
        raise zipfile.BadZipFile("it is not a plain file")
    with path.open("rb") as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    size = path.stat().st_size
    if end and end[LIST_BYTES] > max(ZIP_LIST_BYTES, size // ZIP_LIST_SHARE):
        raise zipfile.BadZipFile(
            f"its list of members takes {end[LIST_BYTES]:,} of its {size:,} bytes: they hold next to nothing"
        )
    return zipfile.ZipFile(path)
