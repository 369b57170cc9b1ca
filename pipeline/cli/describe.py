"""edgec doctor MODEL: how an ONNX file wants its input, shown on a picture."""

import json
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline.cache.store import writing
from pipeline.errors import DataError, UsageError
from pipeline.models.foreign.description import description_file, is_foreign, read_foreign
from targets.runtime.preprocess import ImageError, decode


def describe(path: Path, image: Path | None, write: bool, as_json: bool) -> None:
    """Print the description that is there, or the guessed one. Raises UsageError and CheckpointError."""
    if not is_foreign(path.name):
        raise UsageError(f"{path} is no .onnx file. Known models need no doctor; see `edgec models`.")
    from pipeline.models.foreign.guess import Tried, guess
    from pipeline.models.foreign.original import Original

    file = description_file(path)
    picture = None if image is None else _decoded(image)
    found = guess(path, picture)
    described = read_foreign(path) if file.is_file() else None
    tried = list(found.tried)
    if described is not None and picture is not None:
        told = Original(described).probabilities(described.preprocessing(picture))
        tried.append(Tried(f"as {file.name} says", told))
    names = dict(enumerate((described and described.labels) or ()))
    if as_json:
        shown = {t.name: {names.get(i, str(i)): t.probabilities[i] for i in t.best} for t in tried}
        typer.echo(json.dumps({"guess": found.toml(), "reasons": found.reasons, "tried": shown}))
        return
    for reason in found.reasons:
        typer.echo(reason)
    for one in tried:
        best = ", ".join(f"{names.get(i, f'class {i}')} {one.probabilities[i]:.1%}" for i in one.best)
        typer.echo(f"  {one.name}: {best}")
    _offer(file, found.toml(), write)


def _decoded(image: Path) -> NDArray[np.uint8]:
    try:
        return decode(image.read_bytes(), channels=3)
    except OSError as error:
        raise DataError(f"The picture {image} cannot be read: {error.strerror}.") from error
    except ImageError as error:
        raise DataError(f"The picture {image} cannot be read: {error}.") from error


def _offer(file: Path, guessed: str, write: bool) -> None:
    """Show the description that is there; else write the guessed one, or show it."""
    if file.is_file():
        typer.echo(f"\n{file} says:\n\n{file.read_text(encoding='utf-8')}")
    elif write:
        with writing(file.parent, "the description"):
            file.write_text(guessed, encoding="utf-8")
        typer.echo(f"\nWritten to {file}.")
    else:
        typer.echo(f"\n{file} does not exist. This guess can be put there (--write does):\n\n{guessed}")
