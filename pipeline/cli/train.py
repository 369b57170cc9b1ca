"""edgec train: weights from labelled images."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import make_progress
from pipeline.config import load_config
from pipeline.training.config import TrainConfig


def train(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run. Default: runs/<model>.")
    ] = None,
    model: options.Model = None,
    data: options.Data = None,
    labels: options.Labels = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images. Default: 20.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides all that is random. Default: 0.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights to start from. Default: random.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings; options given here take precedence.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train a model on labelled images. The same command again resumes a run that was stopped.

    Example: edgec train --model resnet20-fashion --data /usr/share/datasets/fashion-mnist
    """
    chosen = {
        "model": model,
        "data": data,
        "labels": labels,
        "epochs": epochs,
        "seed": seed,
        "initial": checkpoint,
    }
    settings = load_config(TrainConfig, config, chosen)
    from pipeline.training.loop import train as run_training

    result = run_training(settings, output or Path("runs") / settings.model, make_progress(as_json))
    if as_json:
        history = [record.model_dump(mode="json") for record in result.history]
        record = {"weights": str(result.weights), "right": result.right, "evaluated": result.evaluated}
        typer.echo(json.dumps({**record, "history": history}))
        return
    typer.echo(f"weights  {result.weights}")
    if result.right is not None and result.evaluated:
        share = result.right / result.evaluated
        typer.echo(f"top-1    {share:.2%} of {result.evaluated} evaluation images, in float32")
