"""Digests of our own sources that are kept from run to run, so that a rebuild does not read them again."""

import hashlib
import json
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from pipeline.cache.atomic import replacing
from pipeline.cache.code_at_start import AT_START, PACKAGES, ROOT
from pipeline.cache.digest import RememberedDigests, value_digest
from pipeline.cache.own_code import code_digest


class RememberedCode:
    """Gives what `code_digest` gives, and remembers it until a file of our packages has another identity.

    Code that changed shortly before the program started is not remembered; see `RememberedDigests`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        self._changed = False
        with suppress(OSError, ValueError, TypeError):  # if lost or damaged, the sources are read
            checksum, code, known = json.loads(path.read_text())
            if code == identities() and checksum == value_digest(known):
                self._known = known

    def __call__(self, places: tuple[Path, ...]) -> str:
        """Return the SHA-256 over the source files that the files and folders at `places` are or import."""
        name = "\n".join(map(str, places))
        if (known := self._known.get(name)) is not None:
            return known
        digest = code_digest(places)
        if is_settled() and all(map(_is_ours, places)):
            self._known[name] = digest
            self._changed = True
        return digest

    def save(self) -> None:
        """Write the digests to the file, atomically."""
        if self._changed:
            with replacing(self._path) as scratch:
                scratch.write_text(json.dumps([value_digest(self._known), identities(), self._known]))
            self._changed = False


@cache
def identities() -> str:
    """Return the SHA-256 over the identities of all files of our packages."""
    return hashlib.sha256(repr(sorted(AT_START.items())).encode()).hexdigest()


@cache
def is_settled() -> bool:
    """Whether nothing was changed shortly before the program started, or ahead of the clock."""
    latest = max(max(modified, changed) for *_, modified, changed in AT_START.values())
    return time.time_ns() - latest > RememberedDigests.RACY_NS


def _is_ours(place: Path) -> bool:
    return place.is_relative_to(ROOT) and place.relative_to(ROOT).parts[0] in PACKAGES
