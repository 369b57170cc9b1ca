"""The output of a stage: a folder of files and a list of their digests, checked whenever it is used."""

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.cache.digest import file_digest, folder_digests, value_digest
from pipeline.errors import StorageError
from pipeline.reading.json_text import bounded_json
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import NAMES_BYTES

MANIFEST = "product.json"
KEY_LETTERS = 32
"""How many letters of its key an entry's folder is named by."""
SHA256 = re.compile("[0-9a-f]{64}")


class Damaged(Exception):
    """An entry of the store is not what was stored there; the message says what differs."""


@dataclass(frozen=True)
class Product:
    """The output of a stage, identified by its bytes.

    damage: what was wrong with the stored output that this one replaces; empty if there was none.
    """

    stage: str
    key: str
    """Of the stage that wrote it."""
    folder: Path
    digests: Mapping[str, str]
    cached: bool
    damage: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 over all names and bytes: later stages run again only if it changes."""
        return value_digest(dict(self.digests))

    def file(self, name: str) -> Path:
        """Return the path of one of the files. Raises KeyError if the stage did not write it."""
        if name not in self.digests:
            raise KeyError(f"{self.stage} wrote {sorted(self.digests)}, not {name!r}")
        return self.folder / name

    def refuse_change(self) -> None:
        """Raise StorageError unless the files are still what they were when the product was asked for."""
        try:
            compare(self.folder, self.digests)
        except Damaged as damage:
            raise StorageError(
                f"{self.folder} was damaged while the build used it: {damage}. Nothing that was made from it"
                " was kept. Build again: the damaged result is then replaced."
            ) from damage


def write_manifest(folder: Path, stage: str, key: str) -> dict[str, str]:
    """Write the manifest of `folder`: its files, the stage and the key. Return the files' digests.

    Raises RuntimeError if there are none: a stage that writes nothing is a bug.
    """
    digests = folder_digests(folder)
    if not digests:
        raise RuntimeError(f"the stage {stage} wrote nothing")
    (folder / MANIFEST).write_text(json.dumps({"stage": stage, "key": key, "files": digests}, indent=1))
    return digests


def read_product(stage: str, key: str, folder: Path) -> Product | None:
    """Return what is stored in `folder`, after comparing every byte; None if there is nothing.

    Raises Damaged for anything but what the stage wrote under that key.
    """
    if not folder.is_symlink() and not folder.exists():
        return None
    return read_stored(stage, folder, key)


def read_stored(stage: str, folder: Path, key: str | None = None) -> Product:
    """Return what is stored in `folder`, after comparing every byte. Raises Damaged.

    key: the key that the entry must have; None: any key that matches the folder's name.
    """
    if folder.is_symlink():
        raise Damaged("it is a link to another place")
    if not folder.is_dir():
        raise Damaged("it is not a folder")
    name, found_key, digests = _listed(folder / MANIFEST)
    if name != stage or found_key[:KEY_LETTERS] != folder.name or key not in (None, found_key):
        raise Damaged(f"it holds another product, of the stage {name}")
    compare(folder, digests)
    return Product(stage, found_key, folder, digests, cached=True)


def compare(folder: Path, digests: Mapping[str, str]) -> None:
    """Raise Damaged unless `folder` holds exactly these files, with these digests."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    found.pop(MANIFEST, None)
    for name, path in found.items():
        kind = path.lstat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise Damaged(f"{name} is not a regular file")
        if stat.S_ISREG(kind) and name not in digests:
            raise Damaged(f"{name} does not belong there")
    for name, digest in digests.items():
        if name not in found:
            raise Damaged(f"{name} is missing")
        try:
            same = file_digest(found[name]) == digest
        except OSError as error:
            raise Damaged(f"{name} cannot be read: {error.strerror}") from error
        if not same:
            raise Damaged(f"{name} differs from what was stored")


def _listed(manifest: Path) -> tuple[str, str, dict[str, str]]:
    """Return stage, key and digests by file."""
    try:
        if manifest.is_symlink():
            raise Damaged(f"{MANIFEST} is a link")
        content = bounded_json(read_plain(manifest, NAMES_BYTES))
    except OSError as error:
        raise Damaged(f"{MANIFEST} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Damaged(f"{MANIFEST} is not valid JSON ({error})") from error
    match content:
        case {"stage": str(name), "key": str(key), "files": dict(files), **rest} if files and not rest:
            if SHA256.fullmatch(key) and all(map(_plausible, files.items())):
                return name, key, files
    raise Damaged(f"{MANIFEST} lists no files with their digests")


def _plausible(entry: tuple[str, object]) -> bool:
    name, digest = entry
    path = PurePosixPath(name)
    inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts and name == str(path)
    return inside and name != MANIFEST and isinstance(digest, str) and bool(SHA256.fullmatch(digest))
