"""INT8's margin of a picture with layers in float, and the picture's values outside the ranges."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.difference.compare import NetworkComparison
from pipeline.difference.place import Sides
from pipeline.difference.real_graph import LAYERS
from pipeline.difference.restored import logits_with
from pipeline.explanation.contest import ClassContest
from pipeline.report.model.image_explanation import ClippedTensor, LayerEffect

Array = NDArray[Any]
MORE_THAN_USUAL = 3.0
"""Times the usual share, from which values outside a range are worth a line."""
FEW = 0.001
"""A share of values outside a range that is never worth a line."""


def layer_effects(found: NetworkComparison, contest: ClassContest) -> tuple[LayerEffect, ...]:
    """Put each layer of the first compared picture into float, alone and with all layers in front of it.

    A layer in float computes from unrounded values with float weights; what reads it rounds as before.
    Where a recipe has rescaled channels, values go in and out with the gains that B has there.
    """
    effects = []
    for tensor in found.sides.matching.names:
        node = found.sides.a.producer(tensor)
        if node is not None and node.operator in LAYERS:
            alone, up_to_here = _margins(found, contest, tensor)
            effects.append(
                LayerEffect(layer=tensor, operator=node.operator, alone=alone, up_to_here=up_to_here)
            )
    return tuple(effects)


def _margins(
    found: NetworkComparison, contest: ClassContest, tensor: str
) -> tuple[float | None, float | None]:
    sides, picture = found.sides, found.pictures[:1]
    restored, layer = sides.a_values[tensor][:1], _layer_alone(found, tensor)
    if restored.shape != sides.b_values[sides.matching.names[tensor]][:1].shape:
        return None, None
    values = [restored] if layer is None else [restored, layer]
    if (affine := found.rescaled.get(tensor)) is not None:
        values = [affine.applied(one).astype(np.float32) for one in values]
    if tensor == sides.a.output:
        logits: Array | None = np.concatenate(values)
    else:
        pictures = np.repeat(picture, len(values), axis=0)
        logits = logits_with(sides.b.model, sides.matching.names[tensor], np.concatenate(values), pictures)
    if logits is None:
        return None, None
    flat = logits.reshape(len(values), -1)
    return None if layer is None else contest.margin(flat[1]), contest.margin(flat[0])


def _layer_alone(found: NetworkComparison, tensor: str) -> Array | None:
    """Return what A's layer computes of what B's layer reads, before that is rounded."""
    sides = found.sides
    node = sides.a.producer(tensor)
    if node is not None and not set(node.inputs) & sides.a.behind_layer:
        return sides.a_values[tensor][:1]  # the first layer: nothing is rounded before it
    place = sides.place(tensor)
    given = {name: _unrounded(sides, name, value) for name, value in place.given.items()}
    for name in given.keys() & found.rescaled.keys():
        given[name] = found.rescaled[name].undone(given[name])
    computed = place.with_given(given).run()
    return computed[:1] if computed.shape == sides.a_values[tensor].shape else None


def _unrounded(sides: Sides, name: str, rounded: Array) -> Array:
    theirs = sides.matching.names.get(name)
    if theirs is None or theirs not in sides.b_values:
        return rounded
    written = sides.b_values[theirs]
    return written if written.shape == rounded.shape else rounded


def clipped_tensors(sides: Sides) -> tuple[ClippedTensor, ...]:
    """Return tensors of which the first picture has unusually many values outside their range."""
    rows = []
    for tensor, grid in sides.b.grids.items():
        values = sides.b_values.get(grid.written)
        if values is None or len(values) < 2 or grid.scale.size > 1:
            continue
        low, high = (float(limit.reshape(-1)[0]) for limit in grid.limits)
        step = float(grid.scale.reshape(-1)[0])
        outside = values > high + step / 2
        if low < 0:  # a range that begins at 0 may stand for a ReLU
            outside |= values < low - step / 2
        share, usual = float(outside[:1].mean()), float(outside[1:].mean())
        if share > max(FEW, MORE_THAN_USUAL * usual):
            rows.append(ClippedTensor(tensor=tensor, share=share, usual_share=usual))
    return tuple(sorted(rows, key=lambda row: -row.share))
