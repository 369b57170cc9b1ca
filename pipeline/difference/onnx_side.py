"""An ONNX file as a side: edgec's own, or another tool's with an input of its own."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.difference.side import (
    Array,
    Pictures,
    Side,
    Unprepared,
    bounded_graph,
    graph_side,
    takes_pixels,
)
from pipeline.models.input_form import InputForm

if TYPE_CHECKING:
    import onnx

    from pipeline.models.foreign.description import ForeignModel

SCORED = 1e-9
"""Probabilities below this are as good as 0: their logarithms are rounding."""
SCHEME = "w8a8_asym"
"""The scheme that another tool's quantised network is written in: zero points of its own."""


def onnx_side(path: Path, name: str | None = None) -> Side | Unprepared:
    """Return an ONNX file as a side; `Unprepared` unless it takes pixels. Raises CheckpointError."""
    from pipeline.models.foreign.normal_form.float_precision import is_half

    model = bounded_graph(path)
    if takes_pixels(model) and not is_half(model):
        return graph_side(model, name or str(path))
    from pipeline.models.foreign.description import Description, description_file
    from pipeline.models.foreign.guess import guess
    from pipeline.models.foreign.onnx_file import read_input

    found = read_input(path)
    stated = None
    if description_file(path).is_file():
        source = _described(path)
        stated = InputForm(f"as {description_file(path)} says", source.mean, source.std, source.colors)
    else:
        guessed = guess(path, None)
        source = _described(path, guessed.description)
        if guessed.clear:  # pixels, or a normalisation inside
            stated = InputForm("as its graph has it", source.mean, source.std, source.colors)
        assert isinstance(guessed.description, Description)  # noqa: S101 - what guess returns
    return Unprepared(
        name=name or str(path),
        size=source.input_shape,
        takes=f"{found}, {source.layout}",
        opened=lambda form: _opened(_in_form(source, form), name or str(path), is_half(model)),
        scores=lambda form, pictures: _scores(_in_form(source, form), pictures),
        stated=stated,
    )


def _described(path: Path, description: object = None) -> "ForeignModel":
    from pipeline.models.foreign.description import Description, described, read_foreign

    return described(path, description) if isinstance(description, Description) else read_foreign(path)


def _in_form(source: "ForeignModel", form: InputForm) -> "ForeignModel":
    return replace(source, mean=form.mean, std=form.std, colors=form.colors)


def _opened(source: "ForeignModel", name: str, half: bool) -> Side:
    """Bring a file into edgec's form, with the pictures' preparation inside. half: it may overflow."""
    from pipeline.difference.half_overflow import first_overflow

    changes: list[str] = []
    model = _quantised(source, changes) if source.is_quantised else _float(source, changes)
    side = graph_side(model, name, tuple(f"{name}: {one.removeprefix('import: ')}" for one in changes))
    return replace(side, overflowed=lambda pictures: first_overflow(source, pictures)) if half else side


def _float(source: "ForeignModel", changes: list[str]) -> "onnx.ModelProto":
    from pipeline.models.foreign.rewrite import adopt

    return adopt(source, True, changes.append)


def _quantised(source: "ForeignModel", changes: list[str]) -> "onnx.ModelProto":
    from calibration.recipe import QuantRecipe
    from pipeline.models.foreign.quantised.read_quantised import read_quantised

    return read_quantised(source, True, changes.append).quantised(QuantRecipe.parse(SCHEME).scheme).model


def _scores(source: "ForeignModel", pictures: Pictures) -> Array:
    from pipeline.models.foreign.original import Original

    original = Original(source)
    shares = np.stack([original.probabilities(picture) for picture in pictures])
    return np.log(np.maximum(shares, SCORED))
