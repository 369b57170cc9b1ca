"""Units of a build or a tuning. What each belongs to is kept, so that the unit can be repeated later."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import PositiveInt, TypeAdapter

from pipeline.cache.atomic import replacing
from pipeline.cache.stage import Stage
from pipeline.config import BuildConfig
from pipeline.errors import UsageError
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import SETTINGS_BYTES
from pipeline.report.record import Record
from pipeline.units.stored_unit import StoredUnit


class TuningRequest(Record):
    """A tuning whose candidates are counted in the emulator.

    model: the absolute path of a model.int8.onnx; target: a board; tiles: how many are tried for each
    convolution.
    """

    model: str
    target: str
    tiles: PositiveInt


REQUESTS = "requests"
"""A file for each unit, named by its digest: the settings of the build or the tuning that it belongs to."""
Requested = BuildConfig | TuningRequest
_READ: TypeAdapter[Requested] = TypeAdapter(Requested)


def write_request(root: Path, digest: str, requested: Requested) -> None:
    """Keep what a unit belongs to, in the store at `root`."""
    file = root / REQUESTS / f"{digest}.json"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        with replacing(file) as scratch:
            scratch.write_text(requested.model_dump_json())


def requested_units(
    stages: Sequence[Stage], root: Path, what: str, requested: Requested, board: str | None = None
) -> list[StoredUnit]:
    """Make a unit of each stage, called `what` and its number, and keep what they belong to.

    root: the folder of the store. board: where the units run the engine.
    """
    root, count = root.absolute(), len(stages)
    units = [
        StoredUnit(stage, root, f"{what} {place} of {count}", board) for place, stage in enumerate(stages, 1)
    ]
    for unit in units:
        write_request(root, unit.digest, requested)
    return units


def read_request(root: Path, digest: str) -> tuple[str, Requested]:
    """Return the whole digest of a unit and what it belongs to. Raises UsageError unless it names one unit.

    Also if the file of the unit is damaged.
    """
    files = sorted((root / REQUESTS).glob("*.json"))
    found = [file for file in files if digest and file.stem.startswith(digest)]
    if len(found) != 1:
        many = f"{len(found)} units" if found else "no unit"
        raise UsageError(f"{digest!r} matches {many} of the {len(files)} in {root}.")
    try:
        return found[0].stem, _READ.validate_json(read_plain(found[0], SETTINGS_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{found[0]} is damaged ({str(error).splitlines()[0]}), so the settings of the unit are lost."
        ) from error
