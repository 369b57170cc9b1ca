"""Builds rows on the workers of a cluster; all of them see the same folders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.cache.digest import value_digest
from pipeline.config import understood_anywhere
from pipeline.matrix.planned_rows import NO_DEVICE, PlannedRow
from pipeline.matrix.row_build import RowOutcome, build_row
from pipeline.progress import Progress
from pipeline.units.workers import Workers


@dataclass(frozen=True)
class RowUnit:
    """A build of a model, with a recipe, for a target, on a device that no other user has meanwhile."""

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
        """Build it, or find it in the store."""
        return build_row(self.row, progress)


@dataclass
class SharedRows:
    """Builds rows on workers, several at once."""

    workers: Workers

    def run(self, rows: Sequence[PlannedRow], progress: Progress) -> Iterator[tuple[PlannedRow, RowOutcome]]:
        """See RowRunner."""
        found = [replace(row, config=understood_anywhere(row.config)) for row in rows]
        sent = {unit.digest: unit for unit in map(RowUnit, found)}
        for done in self.workers.run(list(sent.values()), progress):
            failure = done.failure
            if failure is not None and failure.log:
                progress.say(f"{done.unit.title}, on {done.worker}:\n{failure.log.rstrip()}")
            outcome = done.result or RowOutcome(problem=failure.message if failure else "")
            yield sent[done.unit.digest].row, outcome
