"""The source files of this project that a module depends on: its imports, and their imports.

They are part of a stage's key. Imports are found in the source text: imports within functions count too, and
no module has to be loaded.
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

from pipeline.cache.code_at_start import AT_START, PACKAGES, ROOT, Identity, identity
from pipeline.cache.digest import file_digest, value_digest
from pipeline.errors import CodeChangedError, listed

DATA = (".toml", ".json", ".c", ".h", ".cpp", ".hpp", ".pc", ".txt", ".xml", ".j2", ".css", ".html", ".js")
"""Files beside the code that it reads: sources, templates, tables, tuned kernels."""

WITHOUT_EFFECT = {
    "pipeline/cache": "decides when a stage runs, not what it writes",
    "pipeline/progress.py": "reports progress",
    "pipeline/reading/__init__.py": "holds no code",
    "pipeline/reading/plain_file.py": "returns a file's bytes, which have a digest, or raises",
    "pipeline/reading/json_text.py": "returns what json.loads returns, or raises",
    "pipeline/reading/reading_limits.py": "decides what is refused, and a stage that refuses has no output",
    "pipeline/errors.py": "a stage that raises has no output",
}
"""Files and folders that stages import and that are in no key, with the reason."""

BY_NAME = {
    "targets/runtime/runners.py": "targets",
    "targets/reach/zip_program.py": "targets/runtime",
    "pipeline/data/images.py": "pipeline/data",
}
"""Files that load, send or are implemented by others that no import names, and the folder of those."""

_FROM = re.compile(r"^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]+)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n]+)", re.MULTILINE)


def code_digest(places: tuple[Path, ...]) -> str:
    """Return the SHA-256 over the source files that the files and folders at `places` are or import."""
    return _digest(frozenset().union(*(_reached(str(place)) for place in places)))


def refuse_changed_code(places: tuple[Path, ...]) -> None:
    """Raise CodeChangedError if a file counted by `code_digest(places)` changed since the program began.

    What runs may then be the old code, the new, or some of both. A file outside our packages is compared with
    what it was when its digest was taken.
    """
    files = frozenset().union(*(_reached(str(place)) for place in places))
    code_digest(places)  # notes the files outside our packages
    changed = {_name(path) for path in files if _seen.get(path) != _identity(path)}
    changed.update(
        _name(path) for path in AT_START if not os.path.exists(path)
    )  # imports no longer lead to it
    for folder in {os.path.dirname(path) for path in files if _is_ours(path)}:
        changed.update(_name(path) for path in _data_in(folder) if path not in files)
    if changed:
        raise CodeChangedError(
            f"edgec's own code was changed while it ran: {listed(sorted(changed))}. Nothing was kept of this"
            " stage, as its result could be of the old code or of the new. Run the command again."
        )


def reached(place: Path) -> frozenset[Path]:
    """Return the files that a file, or every file in a folder, depends on: sources, and data beside them.

    Raises FileNotFoundError if there is no source file at `place`.
    """
    return frozenset(map(Path, _reached(str(place))))


def imported(path: Path) -> frozenset[Path]:
    """Return our files that a source file imports, wherever in it: modules, and the packages they are in."""
    return frozenset(map(Path, _imported(str(path))))


# Below, paths are strings: this runs before each stage, for hundreds of files, also where nothing is to do.

_ROOT = str(ROOT)
_seen = dict(AT_START)
"""The identity of each file when the program started, or when its digest was taken."""


@cache
def _reached(place: str) -> frozenset[str]:
    found: set[str] = set()
    waiting = list(_sources(place))
    while waiting:
        path = waiting.pop()
        if path in found or _without_effect(path):
            continue
        found.add(path)
        waiting += _imported(path)
        if named := BY_NAME.get(_name(path)):
            waiting += _sources(os.path.join(_ROOT, named))
    for folder in {os.path.dirname(path) for path in found if _is_ours(path)}:
        found.update(_data_of(folder))
    return frozenset(found)


@cache
def _imported(path: str) -> frozenset[str]:
    package = os.path.dirname(_name(path)).replace("/", ".") if _is_ours(path) else ""
    with open(path, encoding="utf-8") as file:
        names = {package, *_names(file.read(), package)}
    return frozenset(file for name in names for file in _files(name))


def _names(text: str, package: str) -> Iterator[str]:
    """Yield the absolute names of imports; some are names within a module."""
    for match in _IMPORT.finditer(text):
        yield from (part.split()[0] for part in match[1].partition("#")[0].split(",") if part.split())
    for match in _FROM.finditer(text):
        module, taken = match.groups()
        module = resolve_name(module, package) if module.startswith(".") else module
        yield module
        lines = (line.partition("#")[0] for line in taken.strip("()").splitlines())
        for part in ",".join(lines).split(","):
            yield from (f"{module}.{word}" for word in part.split()[:1])


@cache
def _files(name: str) -> tuple[str, ...]:
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return ()
    files, folder = [], _ROOT
    for part in parts:
        if f"{part}.py" in _listed(folder) and part == parts[-1]:
            files.append(f"{folder}/{part}.py")
        if part not in _listed(folder):
            break
        folder = f"{folder}/{part}"
        if "__init__.py" in _listed(folder):
            files.append(f"{folder}/__init__.py")
    return tuple(files)


@cache
def _listed(folder: str) -> frozenset[str]:
    """Return the names in a folder; of a file, none."""
    return frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset()


@cache
def _sources(place: str) -> tuple[str, ...]:
    found = (place,) if os.path.isfile(place) else tuple(map(str, Path(place).rglob("*.py")))
    if not found:
        raise FileNotFoundError(f"no source files at {place}; a stage's `code` names it")
    return found


@cache
def _data_of(folder: str) -> tuple[str, ...]:
    return _data_in(folder)


def _data_in(folder: str) -> tuple[str, ...]:
    """Return the data files in a folder, and in its subfolders without code."""
    entries = list(os.scandir(folder))
    files = [entry.path for entry in entries if os.path.splitext(entry.name)[1] in DATA]
    folders = [entry.path for entry in entries if entry.is_dir() and not _holds_code(entry.path)]
    return (*files, *(file for each in folders for file in _data_in(each)))


def _holds_code(folder: str) -> bool:
    return any(name.endswith(".py") for name in os.listdir(folder))


@cache
def _without_effect(path: str) -> bool:
    name = _name(path)
    return any(name == place or name.startswith(f"{place}/") for place in WITHOUT_EFFECT)


def _is_ours(path: str) -> bool:
    return path.startswith(f"{_ROOT}/")


def _name(path: str) -> str:
    return path.removeprefix(f"{_ROOT}/")


def _identity(path: str) -> Identity | None:
    """Return the identity of a file now; None if it is gone."""
    try:
        return identity(os.stat(path))
    except OSError:
        return None


@cache
def _digest(files: frozenset[str]) -> str:
    return value_digest({_name(path): _file_digest(path) for path in files})


@cache
def _file_digest(path: str) -> str:
    _seen.setdefault(path, identity(os.stat(path)))
    return file_digest(Path(path))
