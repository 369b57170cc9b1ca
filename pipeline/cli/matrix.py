"""edgec matrix: many builds from one file, on one page."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import make_progress, say, say_json, terminal

if TYPE_CHECKING:
    from pipeline.matrix.planned_rows import PlannedRow


def matrix(
    file: Annotated[Path, typer.Argument(help="The TOML file of the matrix.")] = Path("matrix.toml"),
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Build only these rows: AXIS=PATTERN, such as model=resnet*. May be given several times."
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Print the rows, and build none.")] = False,
    out: options.Out = None,
    on: options.On = None,
    as_json: options.Json = False,
) -> None:
    """Build models x recipes x targets x devices, and show all results on one page.

    The same command resumes an interrupted matrix; finished rows are not built again. A row that fails does
    not stop the others. Exit code 1 if a row has no result or fails a gate, 5 if FP32 only guesses in a row.

    Example: edgec matrix matrix.toml --only target=host --only model=resnet*
    """
    from pipeline.matrix.local_rows import LocalRows
    from pipeline.matrix.matrix_config import load_matrix
    from pipeline.matrix.planned_rows import only as chosen_of
    from pipeline.matrix.planned_rows import planned_rows
    from pipeline.matrix.run_matrix import run_matrix
    from pipeline.matrix.shared_rows import SharedRows
    from pipeline.report.matrix_terminal import render_matrix
    from pipeline.units.open_workers import open_workers

    settings = load_matrix(file, out)
    rows = chosen_of(planned_rows(settings, file), only or [])
    if listed:
        _list(rows, as_json)
        return
    progress = make_progress(as_json)
    if on is None:
        report = run_matrix(file.stem, rows, settings.budgets, settings.out, LocalRows(), progress)
    else:
        with open_workers(on) as workers:
            shared = SharedRows(workers)
            report = run_matrix(file.stem, rows, settings.budgets, settings.out, shared, progress)
    if as_json:
        say_json(json.dumps({"exit_code": report.exit_code, **report.model_dump(mode="json")}))
    else:
        render_matrix(report, terminal())
        say(f"page    {settings.out / report.name}.html")
        say(f"json    {settings.out / report.name}.json")
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _list(rows: "list[PlannedRow]", as_json: bool) -> None:
    axes = [
        {
            "name": row.name,
            "model": row.model,
            "recipe": row.recipe,
            "target": row.target,
            "device": row.device,
        }
        for row in rows
    ]
    if as_json:
        say_json(json.dumps(axes))
        return
    for row in rows:
        say(row.name)
