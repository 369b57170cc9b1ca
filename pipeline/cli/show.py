"""edgec report, targets and models: show what is there."""

import json
import tarfile
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.cli import options
from pipeline.errors import ReportError
from pipeline.models.zoo import KNOWN_MODELS
from pipeline.report.model import Report
from pipeline.report.terminal import render_terminal
from pipeline.store import writing
from targets.errors import TargetUnavailable
from targets.registry import find_target, names


def report(
    path: Annotated[Path, typer.Argument(help="report.json, the folder it is in, or a bundle.")] = Path(
        "out/resnet20-fashion-reference"
    ),
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML file.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show a report again, from its file or out of a bundle.

    Example: edgec report out/resnet20-fashion-reference.edgec --html report.html
    """
    found = _load(path)
    if html:
        from pipeline.report.html import render_html

        with writing(html.parent):
            html.write_text(render_html(found), encoding="utf-8")
    if as_json:
        typer.echo(found.to_json(), nl=False)
    else:
        render_terminal(found, Console())


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
    if path.is_dir():
        return Report.load(path / "report.json")
    if path.suffix != ".edgec":
        return Report.load(path)
    with tempfile.TemporaryDirectory(prefix="edgec-report-") as scratch:
        copy = Path(scratch) / "report.json"
        copy.write_bytes(_from_bundle(path))
        return Report.load(copy)


def _from_bundle(path: Path) -> bytes:
    try:
        with tarfile.open(path) as tar:
            for entry in tar:
                if entry.isfile() and Path(entry.name).name == "report.json":
                    file = tar.extractfile(entry)
                    if file:
                        return file.read()
    except (OSError, tarfile.TarError, EOFError) as error:
        raise ReportError(f"{path} is no bundle that can be read: {error}.") from error
    raise ReportError(f"{path} holds no report.json. Build it again with `edgec build`.")
