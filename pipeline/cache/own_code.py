"""Which of our own source files decide what a module does: what it imports, and what that imports.

A stage's key counts them. They are found in the text, since an import within a function counts as well and
nothing shall be loaded for it.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

from pipeline.cache.digest import file_digest, value_digest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "targets", "calibration")
DATA = (".toml", ".json", ".c", ".h", ".j2", ".css", ".html", ".js")
"""Files that code reads from beside it: sources, templates, tables, kernels tuned before."""

WITHOUT_EFFECT = {
    "pipeline/cache": "decides when a stage runs, never what it writes",
    "pipeline/progress.py": "tells how far a stage is",
    "pipeline/plain_file.py": "it hands on a file's bytes, which have a digest, or raises",
    "pipeline/errors.py": "a stage that raises leaves no output",
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
    return _digest(frozenset().union(*map(reached, places)))


@cache
def reached(place: Path) -> frozenset[Path]:
    """Return our files that decide what a file does, or all in a folder: sources, and data beside them.

    Raises FileNotFoundError if there is no source file at `place`.
    """
    found: set[Path] = set()
    waiting = list(_sources(place))
    while waiting:
        path = waiting.pop()
        if path in found or _without_effect(path):
            continue
        found.add(path)
        waiting += imported(path)
        waiting += _sources(ROOT / named) if (named := BY_NAME.get(_name(path))) else ()
    for folder in {path.parent for path in found if path.is_relative_to(ROOT)}:
        found.update(_data_of(folder))
    return frozenset(found)


@cache
def imported(path: Path) -> frozenset[Path]:
    """Return our files that a source file imports, wherever in it: modules, and the packages they are in."""
    package = ".".join(path.parent.relative_to(ROOT).parts) if path.is_relative_to(ROOT) else ""
    names = (package, *_names(path.read_text(encoding="utf-8"), package))
    return frozenset(file for name in names for file in _files(name))


def _names(text: str, package: str) -> Iterator[str]:
    """Yield the absolute names of what may be modules."""
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
def _files(name: str) -> tuple[Path, ...]:
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return ()
    packages = [ROOT.joinpath(*parts[: i + 1]) / "__init__.py" for i in range(len(parts))]
    return tuple(path for path in (*packages, ROOT.joinpath(*parts).with_suffix(".py")) if path.is_file())


@cache
def _sources(place: Path) -> tuple[Path, ...]:
    found = (place,) if place.is_file() else tuple(place.rglob("*.py"))
    if not found:
        raise FileNotFoundError(f"no source files at {place}; a stage's `code` names it")
    return found


@cache
def _data_of(folder: Path) -> tuple[Path, ...]:
    """Return the data files in a folder, and in those below it that hold no code of their own."""
    here = [path for path in folder.iterdir() if path.suffix in DATA]
    below = [path for path in folder.iterdir() if path.is_dir() and not any(path.glob("*.py"))]
    return (*here, *(file for each in below for file in _data_of(each)))


def _without_effect(path: Path) -> bool:
    return any(path.is_relative_to(ROOT / place) for place in WITHOUT_EFFECT)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()


@cache
def _digest(files: frozenset[Path]) -> str:
    return value_digest({_name(path): _file_digest(path) for path in files})


_file_digest = cache(file_digest)
