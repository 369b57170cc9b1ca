"""Builds the rows of a matrix, and keeps its page and its JSON up to date while they come in."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.cache.atomic import replacing
from pipeline.cache.store import writing
from pipeline.matrix.local_rows import RowRunner
from pipeline.matrix.planned_rows import PlannedRow
from pipeline.matrix.row_build import ended, waiting
from pipeline.progress import Progress
from pipeline.report.best_rows import choices_of, contests_of
from pipeline.report.model.matrix_report import Budget, BuiltRow, MatrixReport
from pipeline.report.pages.matrix_page import matrix_html


def run_matrix(
    name: str,
    rows: Sequence[PlannedRow],
    budgets: Sequence[Budget],
    out: Path,
    runner: RowRunner,
    progress: Progress,
) -> MatrixReport:
    """Build all rows, and write `name`.html and `name`.json below `out` after each of them.

    What the store has is not computed again, so the same call after a kill goes on where that one stopped.
    """
    found = {row.name: waiting(row) for row in rows}
    report = _written(name, list(found.values()), budgets, out)
    for row, outcome in runner.run(rows, progress):
        found[row.name] = ended(row, outcome)
        report = _written(name, list(found.values()), budgets, out)
    return report


def _written(name: str, rows: Sequence[BuiltRow], budgets: Sequence[Budget], out: Path) -> MatrixReport:
    contests = contests_of(rows)
    report = MatrixReport(
        name=name,
        rows=tuple(rows),
        contests=contests,
        choices=choices_of(rows, contests, budgets),
    )
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for ending, text in ((".json", report.to_json()), (".html", matrix_html(report))):
            with replacing(out / f"{name}{ending}") as scratch:
                scratch.write_text(text, encoding="utf-8")
    return report
