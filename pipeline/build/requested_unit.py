"""Keeps the settings of each unit's build, so that the unit can be repeated later."""

from pathlib import Path

from pipeline.cache.atomic import replacing
from pipeline.config import BuildConfig
from pipeline.errors import UsageError
from pipeline.plain_file import read_plain
from pipeline.reading_limits import SETTINGS_BYTES

REQUESTS = "requests"
"""A file for each unit, named by its digest: the settings of the build that it belongs to."""


def write_request(root: Path, digest: str, config: BuildConfig) -> None:
    """Keep the settings of the build that a unit belongs to, in the store at `root`."""
    file = root / REQUESTS / f"{digest}.json"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        with replacing(file) as scratch:
            scratch.write_text(config.model_dump_json())


def read_request(root: Path, digest: str) -> tuple[str, BuildConfig]:
    """Return the whole digest and the settings of a unit. Raises UsageError unless it names one unit.

    Also if the file of the unit is damaged.
    """
    files = sorted((root / REQUESTS).glob("*.json"))
    found = [file for file in files if digest and file.stem.startswith(digest)]
    if len(found) != 1:
        many = f"{len(found)} units" if found else "no unit"
        raise UsageError(f"{digest!r} matches {many} of the {len(files)} in {root}.")
    try:
        return found[0].stem, BuildConfig.model_validate_json(read_plain(found[0], SETTINGS_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{found[0]} is damaged ({str(error).splitlines()[0]}), so the settings of the unit are lost."
        ) from error
