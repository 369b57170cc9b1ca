"""Tries more bits on one picture: makes each change and runs the network."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.errors import CalibrationError
from calibration.prepare_float import prepare
from calibration.produce import produce
from calibration.recipe import QuantRecipe, Scheme
from pipeline.difference.decibels import ratio_db
from pipeline.difference.place import Sides
from pipeline.difference.real_graph import LAYERS, RealNode
from pipeline.progress import Progress

Array = NDArray[Any]
Batches = Callable[[], Iterator[NDArray[np.uint8]]]
WIDER = ("wide", "widest")
"""The words for 16-bit activations."""
SAME_WEIGHTS_DB = 20.0
"""The least that a weight in 8 bits agrees with its float form; others were rewritten by the recipe."""


def rewritten_float(
    float_model: Path, recipe_name: str, images: Batches, progress: Progress
) -> onnx.ModelProto | None:
    """Return the float network as the recipe rewrites it, such as with other gains; None if it does not.

    Raises calibration's errors.
    """
    try:
        recipe = QuantRecipe.parse(recipe_name)
    except CalibrationError:
        return None
    if not recipe.prepares:
        return None
    with (
        tempfile.TemporaryDirectory() as folder,
        progress.task("rewrite the float network", None) as advance,
    ):
        prepare(float_model, images, recipe, Path(folder) / "model.onnx", advance)
        return onnx.load(Path(folder) / "model.onnx")


def float_weights(sides: Sides) -> tuple[onnx.ModelProto, int, int]:
    """Return B with A's weights and biases, how many layers that are, and how many there are.

    Biases too: a recipe corrects them for what rounding does to the weights. Layers whose weights a recipe
    has rewritten, such as one that takes in the normalisation, keep B's.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(sides.b.model)
    nodes = {node.output[0]: node for node in changed.graph.node}
    layers = given = 0
    for ours, theirs in sides.matching.names.items():
        a, b = sides.a.producer(ours), sides.b.producer(theirs)
        if a is None or b is None or a.operator not in LAYERS or b.operator != a.operator:
            continue
        layers += 1
        constants = _float_constants(sides, a, b)
        if constants is not None:
            given += 1
            for place, value in enumerate(constants, 1):
                nodes[theirs].input[place] = f"float/{theirs}/{place}"
                changed.graph.initializer.append(numpy_helper.from_array(value, nodes[theirs].input[place]))
    return changed, given, layers


def _float_constants(sides: Sides, a: RealNode, b: RealNode) -> list[Array] | None:
    """Return A's weight, and its bias where B has one; None where B's weight is not A's, rounded."""
    if b.reads[1] not in sides.b.weight_steps or not set(a.inputs[1:]) <= sides.a.constants.keys():
        return None
    wanted, found = sides.a.constants[a.inputs[1]], sides.b.constants[b.reads[1]]
    if wanted.shape != found.shape or ratio_db(wanted, found) < SAME_WEIGHTS_DB:
        return None
    if len(b.reads) < 3:
        return [wanted]
    bias = (
        sides.a.constants[a.inputs[2]] if len(a.inputs) > 2 else np.zeros_like(sides.b.constants[b.reads[2]])
    )
    return [wanted, bias]


def wider_networks(
    float_model: Path, recipe_name: str, images: Batches, count: int, progress: Progress
) -> Iterator[tuple[str, onnx.ModelProto | None]]:
    """Calibrate anew with 16-bit activations; yield what was done and the network, or why there is none."""
    try:
        recipe = QuantRecipe.parse(recipe_name)
    except CalibrationError as error:
        yield f"16-bit activations were not tried: {error}", None
        return
    for word in WIDER:
        if word in recipe.corrections:
            continue
        try:
            words = recipe.corrections - set(WIDER) | {word}
            wider = QuantRecipe(recipe.scheme, recipe.observer, words)
            with (
                tempfile.TemporaryDirectory() as folder,
                progress.task(f"try {wider.name}", None) as advance,
            ):
                made = produce(float_model, images, wider, Path(folder), advance)
                if not made.ranges.wide:
                    left_out = "; ".join(made.ranges.left_out).removeprefix(f"{word}: ")
                    why = left_out or "no activation needs them"
                    yield f"{word} gives no activation more bits: {why}", None
                    continue
                kind = "FP16" if recipe.scheme is Scheme.SYM else "16 bits"
                wide = f"{len(made.ranges.wide)} of {len(made.ranges.tensors)} activations in {kind}"
                yield f"{wider.name}: {wide}, calibrated on {count} images", onnx.load(made.quantized)
        except CalibrationError as error:
            yield f"{word} was not tried: {error}", None
