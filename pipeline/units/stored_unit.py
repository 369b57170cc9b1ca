"""A stage as a unit: its result is an entry of a store that all machines share."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store
from pipeline.progress import Progress


@dataclass(frozen=True)
class StoredUnit:
    """A stage, and the store that keeps what it writes.

    root: the store's folder, under the same path for all machines.
    """

    stage: Stage
    root: Path
    title: str
    board: str | None = None

    @cached_property
    def digest(self) -> str:
        """The stage's key."""
        return self.stage.key()

    @property
    def inputs(self) -> Mapping[str, str]:
        """The digests of the stage's fields that have one, by the fields' names."""
        given = {each.name: getattr(self.stage, each.name) for each in fields(self.stage)}
        found = {name: getattr(value, "digest", None) for name, value in given.items()}
        return {name: digest for name, digest in found.items() if isinstance(digest, str)}

    @property
    def has_float_bits(self) -> bool:
        """Whether what the stage writes depends on how the processor rounds floats."""
        return self.stage.has_float_bits

    def run(self, progress: Progress) -> Product:
        """Return the entry of the store, making it if there is none."""
        return Store(self.root).make(self.stage, progress)
