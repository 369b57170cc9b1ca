"""The databases of the fastest measured block sizes: edgec's own, and the user's.

One JSON file for each instruction set and processor, "NAME-PROCESSOR.json". `any` is for all processors of an
instruction set: there, instructions were counted. The user's files come first, then exact ones before `any`.
"""

import fcntl
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from targets.errors import EngineError
from targets.processor import cpu_model
from targets.runtime.named_folder import WrongVariable, named_folder
from targets.tvm.isa import Isa
from targets.tvm.tile import ConvShape, Tile

COMMITTED = Path(__file__).parent.parent / "tuned"
ANY = "any"
STAYS = ("weights", "pixels")
LARGEST = 1024
"""Of a tile's sizes; the largest that are searched are far below."""


@dataclass(frozen=True)
class TunedTile:
    """The best tile of a convolution, with its cost and that of the tile chosen without measuring."""

    shape: str
    tile: Tile
    cost: float
    estimated: float
    unit: str


def users() -> Path:
    """Return the folder of the user's own files: EDGEC_TUNED, or below XDG_DATA_HOME.

    Raises EngineError if these can name no folder.
    """
    try:
        home = named_folder("XDG_DATA_HOME", Path("~/.local/share").expanduser())
        return named_folder("EDGEC_TUNED", home / "edgec" / "tuned")
    except WrongVariable as error:
        raise EngineError(str(error)) from error


def processor(isa: Isa) -> str:
    """The processor for engines of an instruction set: this one, or `any` if they are for another machine."""
    return cpu_model() if isa.triple.startswith(platform.machine()) else ANY


def find(shape: ConvShape, isa: Isa) -> Tile | None:
    """The best known tile of a convolution."""
    for file in _files(isa):
        for entry in load(file):
            if entry.shape == shape.name:
                return entry.tile
    return None


def digest(isa: Isa) -> str:
    """Changes whenever the results of `find` may change."""
    found = sha256()
    for file in _files(isa):
        found.update(repr(load(file)).encode())
    return found.hexdigest()[:12]


def add(entries: Sequence[TunedTile], isa: Isa, where: str, folder: Path) -> Path:
    """Write entries to the file for processor `where` in `folder`, over those of the same shapes.

    Several processes may do so at once: what the others have written stays. The file is replaced as a whole.
    """
    file = folder / f"{isa.name}-{where}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        load.cache_clear()  # another process may have written since
        known = {entry.shape: entry for entry in (*load(file), *entries)}
        rows = [json.dumps(asdict(known[shape])) for shape in sorted(known)]
        scratch = folder / f".{file.name}.unfinished"
        scratch.write_text("[\n" + ",\n".join(rows) + "\n]\n")
        scratch.replace(file)
    load.cache_clear()
    return file


@cache
def load(file: Path) -> tuple[TunedTile, ...]:
    """Read a file; nothing if there is none. Raises EngineError if it is damaged."""
    try:
        rows = json.loads(file.read_text()) if file.is_file() else []
        return tuple(_checked(TunedTile(**{**row, "tile": Tile(**row["tile"])})) for row in rows)
    except (ValueError, TypeError, KeyError, OSError, RecursionError) as error:
        raise EngineError(
            f"{file} is not a file of edgec tune: {error}. Delete it; `edgec tune` makes it anew."
        ) from error


def _checked(entry: TunedTile) -> TunedTile:
    """Return the entry. Raises ValueError where it is none that `add` writes."""
    tile = entry.tile
    sizes = (tile.rows, tile.columns, tile.vectors, tile.unroll)
    if any(type(size) is not int or not 1 <= size <= LARGEST for size in sizes):
        raise ValueError(f"a tile of {entry.shape!r} has the sizes {sizes}: each is 1 to {LARGEST}")
    if tile.stay not in STAYS:
        raise ValueError(f"in a tile of {entry.shape!r} {tile.stay!r} stay: {' or '.join(STAYS)} do")
    return entry


def _files(isa: Isa) -> Iterator[Path]:
    places = dict.fromkeys((processor(isa), ANY))
    return (folder / f"{isa.name}-{place}.json" for folder in (users(), COMMITTED) for place in places)
