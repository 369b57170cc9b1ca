"""edgec report, targets and models: show what is there."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.archive import read_entry
from pipeline.cli import options
from pipeline.models.zoo import KNOWN_MODELS
from pipeline.report.model import Report
from pipeline.report.side_by_side import render_side_by_side, side_by_side_html
from pipeline.report.terminal import render_terminal
from pipeline.store import writing
from targets.errors import TargetUnavailable
from targets.registry import find_target, names

LATEST = Path("out/resnet20-fashion-host")


def report(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="report.json, the folder it is in, or a bundle; several are shown side by side."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML file.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show a report again, or several side by side, from files or out of bundles.

    Example: edgec report out/resnet20-fashion-reference.edgec --html report.html
    """
    found = [_load(path) for path in paths or [LATEST]]
    if html:
        with writing(html.parent, "--html"):
            html.write_text(_page(found), encoding="utf-8")
    if as_json:
        typer.echo(
            found[0].to_json() if len(found) == 1 else json.dumps([r.model_dump(mode="json") for r in found])
        )
    elif len(found) == 1:
        render_terminal(found[0], Console())
    else:
        render_side_by_side(found, Console())


def _page(reports: list[Report]) -> str:
    from pipeline.report.html import render_html

    return render_html(reports[0]) if len(reports) == 1 else side_by_side_html(reports)


def targets(as_json: options.Json = False) -> None:
    """List the targets, what each runs, and whether it can be used here.

    Example: edgec targets --json
    """
    rows = []
    for name in names():
        target = find_target(name)
        try:
            target.check()
            problem = None
        except TargetUnavailable as error:
            problem = str(error)
        rows.append(
            {"name": name, "summary": target.summary, "recipe": target.recipe.name, "problem": problem}
        )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("target", "what it is", "recipe", "here")
    for row in rows:
        table.add_row(row["name"], row["summary"], row["recipe"], row["problem"] or "ready")
    Console().print(table)


def models(as_json: options.Json = False) -> None:
    """List the models that edgec knows by name.

    Example: edgec models
    """
    if as_json:
        rows = [
            {"name": m.name, "summary": m.summary, "input": m.input_shape, "classes": m.classes}
            for m in KNOWN_MODELS
        ]
        typer.echo(json.dumps(rows))
        return
    table = Table("model", "what it is", "input", "classes")
    for model in KNOWN_MODELS:
        classes = "as the data set" if model.classes is None else str(model.classes)
        table.add_row(model.name, model.summary, " x ".join(map(str, model.input_shape)), classes)
    Console().print(table)


def _load(path: Path) -> Report:
    if path.suffix == ".edgec" and not path.is_dir():
        return Report.parse(read_entry(path, "report.json"), f"{path}: report.json")
    return Report.load(path / "report.json" if path.is_dir() else path)
