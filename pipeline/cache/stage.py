"""A stage: one step of a build, whose fields are all that can change its output."""

import inspect
import platform
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from pipeline.cache.digest import value_digest
from pipeline.cache.own_code import ROOT, code_digest
from pipeline.progress import Progress


@dataclass(frozen=True)
class Stage(ABC):
    """A frozen dataclass whose fields are configuration values, or inputs that carry a `digest`.

    Everything that can change what `run` writes is a field, a byte of the source files that its module
    imports or that `code` names, or the version of one of the `tools`. The store runs a stage only if it has
    no output for that combination.
    """

    name: ClassVar[str]
    """A verb, also the folder's name in the store."""
    code: ClassVar[tuple[str, ...]] = ()
    """Our own files and folders, from the checkout's root, that the output holds or that are read as text.
    What the stage's module imports, and what that imports, need not be named."""
    tools: ClassVar[tuple[str, ...]] = ()
    """Installed packages whose version can change the output."""

    @abstractmethod
    def run(self, output: Path, progress: Progress) -> None:
        """Write the output into the empty folder `output`; the store keeps it only if this returns."""

    def inputs(self) -> Iterator["Checked"]:
        """Yield the files and products among the fields, and what those hold."""
        yield from _checked([getattr(self, field.name) for field in fields(self)])

    @classmethod
    def sources(cls) -> tuple[Path, ...]:
        """Return the files and folders that the output depends on, with all that those import."""
        classes = [each for each in cls.__mro__ if issubclass(each, Stage) and each is not Stage]
        own = [Path(inspect.getfile(each)).resolve() for each in classes]
        return (*own, *(ROOT / place for place in cls.code))

    def key(self) -> str:
        """Return the SHA-256 that names the output."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tools = {tool: _version(tool) for tool in self.tools}
        return value_digest(
            [self.name, code_digest(self.sources()), platform.python_version(), tools, values]
        )


@cache
def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


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
