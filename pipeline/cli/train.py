"""edgec train: trains weights on labelled images."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import make_progress, say, say_json
from pipeline.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from pipeline.training.loop import TrainResult


def train(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run. Default: runs/<model>.")
    ] = None,
    model: options.Model = None,
    data: options.Data = None,
    labels: options.Labels = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the images. Default: chosen from their number; 3 with --qat."),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Highest learning rate. Default: chosen from the number of images.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images per step. Default: chosen from their number.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. Default: 0.")] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Weights to start from. Default for photos: edgec's own if they fit the model, else random."
        ),
    ] = None,
    weights: options.Weights = None,
    new_head: Annotated[
        bool | None,
        typer.Option("--new-head", help="Load all layers except the classifier from --checkpoint."),
    ] = None,
    qat: Annotated[
        bool, typer.Option("--qat", help="Fine-tune the quantised network, for edgec build --quantized.")
    ] = False,
    recipe: Annotated[
        str | None, typer.Option(help="With --qat: the recipe to begin from. Default: w8a8_asym_mse_bc.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings; options given here take precedence.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train a model on labelled images. Run the same command again to resume a stopped run.

    The folder of the run holds training.html: curves while it runs, then the confusion matrix.

    Example: edgec train --model resnet20-fashion --data /usr/share/datasets/fashion-mnist
    Example: edgec train --model resnet18-narrow2-128px --data photos/
    Example: torchrun --nproc-per-node 2 -m pipeline train --data photos/
    Example: edgec train --qat --model resnet18 --checkpoint resnet18.pth --data photos/
    """
    chosen: dict[str, object] = {
        "model": model,
        "data": data,
        "labels": labels,
        "epochs": epochs,
        "batch_size": batch,
        "seed": seed,
        "initial": checkpoint,
        "weights": weights,
        "new_head": new_head,
    }
    if qat and lr is not None:
        raise UsageError("--lr is for training in float; --qat has weight_rate, bias_rate and scale_rate.")
    if qat:
        _train_quantized(output, config, chosen, recipe, as_json)
        return
    if recipe is not None:
        raise UsageError("--recipe is for quantisation, and training quantises only with --qat.")
    from pipeline.config import load_config
    from pipeline.training.settings import TrainConfig

    settings = load_config(TrainConfig, config, {**chosen, "peak_learning_rate": lr})
    from pipeline.training.loop import (
        train as run_training,
    )  # a wrong setting is reported before torch is loaded

    result = run_training(settings, output or Path("runs") / settings.model, make_progress(as_json))
    if not result.is_first:
        return
    if as_json:
        _show_json(result)
    else:
        _show(result)
    if result.nothing_learned:
        raise TrainingError(result.nothing_learned)


def _show_json(result: "TrainResult") -> None:
    found = result.judgement
    record = {
        "weights": str(result.weights),
        "right": found and found.right,
        "evaluated": found and found.seen,
        "balanced_accuracy": found and found.balanced_accuracy,
        "nothing_learned": result.nothing_learned,
        "history": [record.model_dump(mode="json") for record in result.history],
    }
    say_json(json.dumps(record))


def _show(result: "TrainResult") -> None:
    say(f"weights  {result.weights}")
    say(f"curves   {result.weights.parent / 'training.html'}")
    found = result.judgement
    if found is not None and found.seen:
        say(
            f"top-1    {found.accuracy:.2%} of {found.seen} evaluation images, in float32"
            f" (mean over classes {found.balanced_accuracy:.2%})"
        )


def _train_quantized(
    output: Path | None, config: Path | None, chosen: dict[str, object], recipe: str | None, as_json: bool
) -> None:
    if chosen.pop("new_head"):
        raise UsageError(
            "--qat needs all weights of a network; --new-head replaces some. Leave one of them out."
        )
    from pipeline.config import load_config
    from pipeline.training.settings import QatConfig

    settings = load_config(QatConfig, config, {**chosen, "recipe": recipe})
    from pipeline.training.qat import train_quantized

    result = train_quantized(
        settings, output or Path("runs") / f"{settings.model}-qat", make_progress(as_json)
    )
    if as_json:
        history = [record.model_dump(mode="json") for record in result.history]
        found = {"quantized": str(result.quantized), "agreement": result.agreement, "checked": result.checked}
        say_json(json.dumps({**found, "history": history}))
        return
    say(f"agrees   {result.agreement:.2%} of {result.checked} images have the same class in onnxruntime")
    say(f"int8     {result.quantized}; next: edgec build --quantized {result.quantized}")
