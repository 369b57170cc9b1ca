"""edgec targets, models and recipes: show what is there."""

import json

import typer
from rich.console import Console
from rich.table import Table

from calibration.correction import Correction
from calibration.corrections import CORRECTIONS
from calibration.scheme import ObserverName, Scheme
from pipeline.cli import options
from pipeline.models.zoo import KNOWN_MODELS
from targets.errors import TargetUnavailable
from targets.registry import find_target, names


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


def _needs(one: Correction) -> str:
    return ", ".join(sorted(one.needs))


def recipes(as_json: options.Json = False) -> None:
    """List the words that a quantisation recipe is made of: a scheme, then ranges, then corrections.

    Example: edgec recipes
    """
    rows = [
        *(("scheme", str(one), one.summary, "", "") for one in Scheme),
        *(("range", str(one), one.summary, "", "") for one in ObserverName),
        *(("correction", one.word, one.summary, one.runs, _needs(one)) for one in CORRECTIONS),
    ]
    if as_json:
        names = "kind", "word", "summary", "runs", "needs"
        typer.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
        return
    table = Table("", "word", "what it does", "runs", "needs")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    typer.echo("A recipe joins one of each with _, and any corrections: w8a8_asym_mse_eq_wmse_obq_bc")
