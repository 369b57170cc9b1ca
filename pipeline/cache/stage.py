"""A stage: one step of a build, whose output depends on its fields, code and tools only."""

import inspect
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from pipeline.cache.code_at_start import ROOT
from pipeline.cache.digest import value_digest
from pipeline.cache.own_code import code_digest, refuse_changed_code
from pipeline.progress import Progress


@dataclass(frozen=True)
class Stage(ABC):
    """A frozen dataclass whose fields are configuration values, or inputs with a `digest`.

    Whatever can change the output of `run` is a field, part of a source file (those that the module imports,
    and those named by `code`), or the version of one of the `tools`. The store runs a stage only if it has no
    output for that combination yet.
    """

    name: ClassVar[str]
    """A verb, also the folder's name in the store."""
    code: ClassVar[tuple[str, ...]] = ()
    """Files and folders of this project, relative to its root, that are read as text or copied to the output.
    Imported modules need not be named."""
    tools: ClassVar[tuple[str, ...]] = ()
    """Installed packages whose version can change the output."""
    optional_tools: ClassVar[tuple[str, ...]] = ()
    """Those that need not be installed."""
    has_float_bits: ClassVar[bool] = True
    """Whether the output holds float numbers whose last bits may differ between instruction sets."""
    is_measurement: ClassVar[bool] = False
    """Whether two runs may well write different bytes, since they take times."""

    @property
    def times_this_machine(self) -> bool:
        """Whether it takes times on this machine, which other work would lengthen."""
        return False

    @abstractmethod
    def run(self, output: Path, progress: Progress) -> None:
        """Write the output into the empty folder `output`. If this raises, nothing is kept."""

    def inputs(self) -> Iterator["Checked"]:
        """Yield the files and products among the fields, nested ones included."""
        yield from _checked([getattr(self, field.name) for field in fields(self)])

    def refuse_changed_code(self) -> None:
        """Raise CodeChangedError if the sources are not those that the program started with."""
        refuse_changed_code(self.sources())

    def refuse_changes(self) -> None:
        """Raise PipelineError if the code or an input is not what the key was computed from."""
        self.refuse_changed_code()
        for source in self.inputs():
            source.refuse_change()

    @classmethod
    def sources(cls) -> tuple[Path, ...]:
        """Return the files and folders that the output depends on, with all that those import."""
        classes = [each for each in cls.__mro__ if issubclass(each, Stage) and each is not Stage]
        own = [Path(inspect.getfile(each)).resolve() for each in classes]
        return (*own, *(ROOT / place for place in cls.code))

    def key(self, code: Callable[[tuple[Path, ...]], str] = code_digest) -> str:
        """Return the SHA-256 that names the output. `code` is `code_digest`, or remembers what it gives."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tools = {tool: version(tool) for tool in self.tools} | installed(self.optional_tools)
        return value_digest([self.name, code(self.sources()), platform.python_version(), tools, values])


@cache
def version(package: str) -> str:
    """Return an installed package's version. Raises PackageNotFoundError."""
    from importlib.metadata import version as installed_version

    return installed_version(package)


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those of `packages` that are installed, by name."""
    found = {}
    for package in packages:
        with suppress(ModuleNotFoundError):
            found[package] = version(package)
    return found


@runtime_checkable
class Checked(Protocol):
    """An input on the disk that can check that it has not changed since its digest was taken."""

    def refuse_change(self) -> None:
        """Raise PipelineError if the input has changed."""
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
