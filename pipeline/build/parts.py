"""A shard of a validation as a folder: written on one machine, merged with the others on another.

A part holds the entries of the store that its machine made or used, so that whoever merges them has the
engine and everything before it as well. What is merged is compared first: parts of one build agree on every
entry that they share.
"""

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from platform import python_version
from typing import Literal

from pydantic import PositiveInt

from pipeline.build.shard import MOST_SHARDS, Shard
from pipeline.cache.product import Damaged, Product, read_stored
from pipeline.cache.store import PRODUCTS, Store, writing
from pipeline.errors import UsageError
from pipeline.progress import Progress
from pipeline.report.record import Record, Sha256, load_record
from pipeline.stages.answer import TOOLS

SCHEMA_VERSION: Literal[1] = 1
RECORD = "part.json"
MOST_NAMED = 20
"""Missing shards that a message names."""


class PartRecord(Record):
    """part.json: which share of which build this is, and what it was made with."""

    schema_version: Literal[1] = SCHEMA_VERSION
    build: str
    number: PositiveInt
    of: PositiveInt
    units: tuple[Sha256, ...]  # keys of the answers of this share
    products: tuple[str, ...]  # stage/folder of every entry
    made_with: dict[str, str]  # versions

    @property
    def shard(self) -> Shard:
        """The share."""
        return Shard(self.number, self.of)


@dataclass(frozen=True)
class WrittenPart:
    """A part whose every byte was compared with its digest."""

    folder: Path
    record: PartRecord
    products: tuple[Product, ...]

    def __str__(self) -> str:
        return f"{self.folder} (shard {self.record.shard})"


def made_with() -> dict[str, str]:
    """Return the versions that answers depend on."""
    return {"edgec": version("edgec"), "Python": python_version(), **{tool: version(tool) for tool in TOOLS}}


def refuse_taken(folder: Path) -> None:
    """Raise UsageError if there is something at the place of a part already."""
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} exists already. Remove it, or name another folder with --part.")


def write_part(
    folder: Path, build: str, shard: Shard, units: Sequence[str], products: Sequence[Product]
) -> None:
    """Write a part. `units` are the keys of its answers, `products` every entry that it needs.

    Raises UsageError if there is something at `folder` already, and StorageError if it cannot be written.
    """
    refuse_taken(folder)
    beside = folder.with_name(f".{folder.name}.writing")
    with writing(folder, "--part"):
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        places = {f"{product.stage}/{product.folder.name}": product for product in products}
        for place, product in places.items():
            shutil.copytree(product.folder, beside / PRODUCTS / place)
        record = PartRecord(
            build=build,
            number=shard.number,
            of=shard.of,
            units=tuple(units),
            products=tuple(places),
            made_with=made_with(),
        )
        record.save(beside / RECORD)
        beside.rename(folder)


def read_part(folder: Path) -> WrittenPart:
    """Read a part and compare all of it. Raises UsageError naming the part and what is wrong with it."""
    if not (folder / RECORD).is_file():
        raise UsageError(
            f"{folder} is not a part: it has no {RECORD}. `edgec validate --shard` writes parts."
        )
    record = load_record(PartRecord, folder / RECORD, "part of a validation", SCHEMA_VERSION)
    if not record.number <= record.of <= MOST_SHARDS:
        raise UsageError(f"{folder} is not a part of edgec: it says that it is shard {record.shard}.")
    if twice := next((place for place, count in Counter(record.products).items() if count > 1), None):
        raise UsageError(f"{folder} is not a part of edgec: it lists {twice!r} twice.")
    return WrittenPart(folder, record, tuple(_stored(folder, place) for place in record.products))


def _stored(folder: Path, place: str) -> Product:
    stage, _, key = place.partition("/")
    if not re.fullmatch(r"[a-z-]+", stage) or not re.fullmatch(r"[0-9a-f]+", key):
        raise UsageError(f"{folder} is not a part of edgec: it lists {place!r}.")
    try:
        return read_stored(stage, folder / PRODUCTS / stage / key)
    except Damaged as damage:
        raise UsageError(
            f"{folder} is damaged: {stage}: {damage}. Copy it again, or make it again."
        ) from damage


def read_parts(folders: Sequence[Path]) -> list[WrittenPart]:
    """Read the parts of one validation: each share exactly once, and all from the same bytes.

    Raises UsageError naming the parts that are damaged, missing, there twice, or of another build.
    """
    parts = [read_part(folder) for folder in folders]
    shares: dict[int, WrittenPart] = {}
    for part in parts:
        if (first := parts[0]).record.of != part.record.of:
            raise UsageError(f"{first} and {part} are shards of different divisions.")
        if (other := shares.setdefault(part.record.number, part)) is not part:
            raise UsageError(f"{other} and {part} are the same shard. Give each shard once.")
    of = parts[0].record.of
    if missing := of - len(shares):
        lacking = (f"{number}/{of}" for number in range(1, of + 1) if number not in shares)
        named = ", ".join(islice(lacking, MOST_NAMED))
        others = f" and {missing - MOST_NAMED:,} more" if missing > MOST_NAMED else ""
        raise UsageError(
            f"The shards {named}{others} are missing. Make each with `edgec validate --shard`, and give all"
            " parts."
        )
    _refuse_disagreement(parts)
    return [shares[number] for number in sorted(shares)]


def _refuse_disagreement(parts: Sequence[WrittenPart]) -> None:
    """Raise UsageError if two parts hold different bytes for the same step."""
    seen: dict[str, tuple[WrittenPart, Product]] = {}
    for part in parts:
        for product in part.products:
            place = f"{product.stage}/{product.folder.name}"
            first, other = seen.setdefault(place, (part, product))
            if other.digest != product.digest:
                raise UsageError(
                    f"{first} and {part} were made from the same inputs, but {product.stage} wrote other"
                    " bytes: their machines compute differently. Make one of them again on the other's kind"
                    " of machine."
                )


def take_in(parts: Sequence[WrittenPart], store: Store, progress: Progress) -> None:
    """Put the entries of all parts into a store, those that it lacks. Raises UsageError if one changes."""
    for part in parts:
        for product in part.products:
            try:
                store.adopt(product, progress)
            except Damaged as damage:
                raise UsageError(f"{part} changed while it was read: {damage}. Give it again.") from damage


def refuse_foreign(parts: Sequence[WrittenPart], units: Sequence[str]) -> None:
    """Raise UsageError naming the part that does not hold its share of `units`, the keys of this build's."""
    for part in parts:
        if list(part.record.units) == list(part.record.shard.share_of(units)):
            continue
        here = made_with()
        other = [
            f"{tool} {there} there and {here.get(tool, 'none')} here"
            for tool, there in part.record.made_with.items()
            if here.get(tool) != there
        ]
        why = "; ".join(other) or "another network, engine, set of pictures, target or source of edgec"
        raise UsageError(
            f"{part} does not belong to this build: {why}. Make it with the same settings and the same"
            " versions as are used here."
        )
