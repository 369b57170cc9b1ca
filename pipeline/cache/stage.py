"""A stage: one step of a build, whose fields are all that can change its output."""

import platform
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from pipeline.cache.digest import file_digest, value_digest
from pipeline.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (".py", ".toml", ".c", ".h", ".j2", ".css", ".html", ".js")


@dataclass(frozen=True)
class Stage(ABC):
    """A frozen dataclass whose fields are configuration values, or inputs that carry a `digest`.

    Everything that can change what `run` writes is a field, a byte of the `code`, or the version of one of
    the `tools`. The store runs a stage only if it has no output for that combination.
    """

    name: ClassVar[str]
    """A verb, also the folder's name in the store."""
    code: ClassVar[tuple[str, ...]]
    """Our own source files and folders whose text decides the output, from the checkout's root: nobody has to
    remember to raise a version number."""
    tools: ClassVar[tuple[str, ...]] = ()
    """Installed packages whose version can change the output."""

    @abstractmethod
    def run(self, output: Path, progress: Progress) -> None:
        """Write the output into the empty folder `output`; the store keeps it only if this returns."""

    def inputs(self) -> Iterator["Checked"]:
        """Yield the files and products among the fields, and what those hold."""
        yield from _checked([getattr(self, field.name) for field in fields(self)])

    def key(self) -> str:
        """Return the SHA-256 that names the output."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tools = {tool: version(tool) for tool in self.tools}
        return value_digest([self.name, _code_digest(self.code), platform.python_version(), tools, values])


@runtime_checkable
class Checked(Protocol):
    """An input that lies on the disk, and can say whether it is still what the key names."""

    def refuse_change(self) -> None:
        """Raise PipelineError if it was changed."""
        ...


def _checked(value: object) -> Iterator[Checked]:
    if isinstance(value, Checked):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _checked(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _checked(item)


@cache
def _code_digest(places: tuple[str, ...]) -> str:
    files = {path for place in places for path in _sources(ROOT / place)}
    return value_digest({path.relative_to(ROOT).as_posix(): file_digest(path) for path in sorted(files)})


def _sources(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    found = [path for path in place.rglob("*") if path.suffix in SOURCES]
    if not found:
        raise FileNotFoundError(f"no source files at {place}; a stage's `code` names it")
    return found
