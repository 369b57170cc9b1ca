"""edgec doctor MODEL: guesses an ONNX file's input format, with labelled images or pictures."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cache.store import writing
from pipeline.cli.console import say, say_json
from pipeline.data.picture_files import picture_files, read_picture
from pipeline.errors import DataError, UsageError
from pipeline.models.foreign.description import (
    Description,
    described,
    description_file,
    is_foreign,
    read_foreign,
    undecided,
)

if TYPE_CHECKING:
    from pipeline.models.foreign.guess import Guess


def describe(path: Path, images: Sequence[Path], data: Path | None, write: bool, as_json: bool) -> None:
    """Print the model's description if there is one, else a guess.

    Raises UsageError and CheckpointError, and DataError if a guess is to be written that is not clear.
    """
    if not is_foreign(path.name):
        raise UsageError(
            f"{path} is not an .onnx file. Known models need no description; see `edgec models`."
        )
    from pipeline.models.foreign.guess import Tried, guess
    from pipeline.models.foreign.original import Original

    file = description_file(path)
    pictures = [read_picture(picture, channels=3) for picture in picture_files(images)]
    found = guess(path, pictures)
    open_one = undecided(path)
    if open_one is not None:
        said: dict[str, object] = {
            key: getattr(open_one, key)
            for key in ("labels", "output", "task")
            if key in open_one.model_fields_set
        }
        found = replace(found, description=found.description.model_copy(update=said))
    existing = read_foreign(path) if file.is_file() and open_one is None else None
    tried = list(found.tried)
    if existing is not None and pictures:
        probabilities = Original(existing).probabilities(existing.preprocessing(pictures[0]))
        tried.append(Tried(f"as {file.name} says", probabilities))
    if data is not None:
        from pipeline.diagnosis.by_accuracy import choose_by_accuracy

        found = found.decided(choose_by_accuracy(existing or described(path, found.description), data))
    names = dict(enumerate((existing and existing.labels) or ()))
    if as_json:
        shown = {t.name: {names.get(i, str(i)): t.probabilities[i] for i in t.best} for t in tried}
        answer = {"guess": found.toml(), "clear": found.clear, "reasons": found.reasons, "tried": shown}
        say_json(json.dumps(answer))
        return
    for reason in found.reasons:
        say(reason)
    for one in tried:
        best = ", ".join(f"{names.get(i, f'class {i}')} {one.probabilities[i]:.1%}" for i in one.best)
        say(f"  {one.name}: {best}")
    _offer(file, found, write, open_one)


def _offer(file: Path, found: "Guess", write: bool, open_one: Description | None) -> None:
    """Show the existing description; else write the guess, or show it.

    What is not clear is written as open, so that nothing is built with it: a wrong normalisation would go
    unnoticed. Raises DataError then. open_one: the existing description, if it is such a one; the rest of it
    is kept.
    """
    if file.is_file() and open_one is None:
        say(f"\n{file} says:\n\n{file.read_text(encoding='utf-8')}")
        if found.clear:
            say(f"The guess:\n\n{found.toml()}")
        return
    if not write:
        there = "leaves the normalisation open" if open_one else "does not exist"
        say(f"\n{file} {there}. Write this guess to it, or use --write:\n\n{found.toml()}")
        return
    text = found.toml()
    if open_one is not None:
        text = _with_what_else_is_said(text, file.read_text(encoding="utf-8"))
    with writing(file.parent, "a copy of the model"):
        file.write_text(text, encoding="utf-8")
    if found.clear:
        say(f"\nWritten to {file}.")
        return
    say(f"\n{found.toml()}")
    raise DataError(
        f"{file} is written, but which of its candidates the network was trained with is open: its confidence"
        " on pictures does not show it. Give labelled images with --data, or 8 pictures or more with --image,"
        " where the network still has its batch norms; or keep the lines that its training code says, as the"
        " file explains."
    )


def _with_what_else_is_said(text: str, before: str) -> str:
    """Return the TOML `text`, with those keys that only the file has that was there before."""
    ours, theirs = tomllib.loads(text), tomllib.loads(before)
    kept = [key for key in theirs if key not in ours and key != "normalisation"]
    return text + "".join(f"{key} = {json.dumps(theirs[key], ensure_ascii=False)}\n" for key in kept)
