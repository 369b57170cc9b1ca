"""Builds rows on the workers of a cluster; all of them see the same folders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.cache.digest import value_digest
from pipeline.matrix.planned_rows import NO_DEVICE, PlannedRow
from pipeline.matrix.row_build import RowOutcome, build_row
from pipeline.progress import Progress
from pipeline.units.workers import Workers


@dataclass(frozen=True)
class RowUnit:
    """A build of a model, with a recipe, for a target, on a device that it has for itself meanwhile."""

    row: PlannedRow
    has_float_bits: bool = True

    @property
    def title(self) -> str:
        """The row's name."""
        return self.row.name

    @property
    def digest(self) -> str:
        """Over the row's settings; its parts are products of the store, named by all that they read."""
        return value_digest([self.row.name, self.row.config.model_dump_json()])

    @property
    def inputs(self) -> Mapping[str, str]:
        """The settings."""
        return {"settings": self.digest}

    @property
    def board(self) -> str | None:
        """The row's device."""
        return None if self.row.device == NO_DEVICE else self.row.device

    def run(self, progress: Progress) -> RowOutcome:
        """Build it, or find what is built."""
        return build_row(self.row, progress)


@dataclass
class SharedRows:
    """Builds rows on workers, several at once."""

    workers: Workers

    def run(self, rows: Sequence[PlannedRow], progress: Progress) -> Iterator[tuple[PlannedRow, RowOutcome]]:
        """See RowRunner."""
        units = [RowUnit(_with_absolute_folder(row)) for row in rows]
        asked = {unit.digest: row for unit, row in zip(units, rows, strict=True)}
        for done in self.workers.run(units, progress):
            failure = done.failure
            outcome = done.result or RowOutcome(problem=failure.message if failure else "")
            yield asked[done.unit.digest], outcome


def _with_absolute_folder(row: PlannedRow) -> PlannedRow:
    """Return the row with a folder that means the same wherever a worker was started."""
    paths: dict[str, object] = {name: path.absolute() for name, path in row.config if isinstance(path, Path)}
    model = Path(row.config.model)
    if model.suffix == ".onnx":
        paths["model"] = str(model.absolute())
    return replace(row, config=row.config.model_copy(update=paths))
