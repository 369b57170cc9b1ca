"""Checks the first layer: whether both networks see the same picture and have the same weights."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.layer_check import LayerConstants
from pipeline.difference.picture_check import moved_pictures, same_pictures
from pipeline.difference.place import Array, GraphPlace, Sides, real_proto
from pipeline.difference.real_graph import evaluate_nodes


@dataclass(frozen=True)
class FirstLayerOutcome:
    """What differs at the first layer."""

    findings: tuple[Discrepancy, ...]
    may_be_meant: bool
    """Whether the next layers may take it back: a gain in a network whose channels B rescales."""


def check_first_layer(
    sides: Sides,
    place: GraphPlace,
    pictures: NDArray[np.uint8],
    constants: LayerConstants | None,
    least_db: float,
    known_gains: Array | None = None,
) -> FirstLayerOutcome | None:
    """Return what explains a difference in the first layer; None if neither the picture nor the weights do.

    `place` is given what A's layer reads. known_gains: B's gains of output channels, where they are known.
    """
    if (swapped := _other_colours(sides, place, pictures, constants, least_db)) is not None:
        return FirstLayerOutcome((swapped,), may_be_meant=False)
    if constants is not None and constants.named is not None:
        named = constants.named
        here = place.agreement(place.run())
        other = Discrepancy(named.kind, place.node.output, named.evidence, here, None, named.remedy)
        return FirstLayerOutcome((other,), may_be_meant=False)
    varies = constants is not None and constants.gains_vary
    expected = place.expected
    if constants is not None and varies:
        gains = constants.gains if known_gains is None else known_gains
        wide = gains.reshape(1, -1, *([1] * (expected.ndim - 2)))
        expected = (expected / wide).astype(np.float32)
    if len(place.given) != 1:
        return None
    ((name, seen),) = place.given.items()
    if seen.ndim != 4 or seen.shape[1] > 4:
        return None
    reordered = _reordered(sides, name, pictures)
    findings = same_pictures(name, _layer(place, name), seen, expected, least_db, reordered)
    if not findings:
        moved = moved_pictures(name, _from_pictures(sides, place.node.output), pictures, expected)
        findings = () if moved is None else (moved,)
    if not findings:
        return None
    scaled = all(one.kind is FaultKind.NORMALISATION for one in findings)
    return FirstLayerOutcome(findings, may_be_meant=varies and scaled and known_gains is None)


def _other_colours(
    sides: Sides,
    place: GraphPlace,
    pictures: NDArray[np.uint8],
    constants: LayerConstants | None,
    least_db: float,
) -> Discrepancy | None:
    """Say so if B's first weights are A's for another order of the picture's channels."""
    if constants is None or constants.named is None or len(place.given) != 1:
        return None
    ((name, seen),) = place.given.items()
    if seen.ndim != 4 or seen.shape[1] > 4:
        return None
    reordered = _reordered(sides, name, pictures)
    found = same_pictures(name, _layer(place, name), seen, place.expected, least_db, reordered)
    return found[0] if len(found) == 1 and found[0].kind is FaultKind.PICTURE_COLOURS else None


def _layer(place: GraphPlace, name: str) -> Callable[[Array], Array]:
    return lambda values: place.with_given({name: values}).run()


def _reordered(sides: Sides, name: str, pictures: NDArray[np.uint8]) -> Callable[[tuple[int, ...]], Array]:
    """Return what A's first layer reads of pictures with their channels in another order."""
    read = _from_pictures(sides, name)
    return lambda order: read(pictures[..., order] if len(order) == pictures.shape[3] else pictures)


def _from_pictures(sides: Sides, tensor: str) -> Callable[[NDArray[np.uint8]], Array]:
    """Return what A computes of other pictures at a tensor up to its first layer."""
    needed: list[onnx.NodeProto] = []
    wanted = {tensor}
    for node in reversed(sides.a.nodes):
        if wanted & set(node.proto.output):
            needed.insert(0, real_proto(node))
            wanted |= set(node.inputs)

    def run(pictures: NDArray[np.uint8]) -> Array:
        given = {**sides.a.constants, sides.a.input: np.ascontiguousarray(pictures)}
        return evaluate_nodes(sides.a.model, needed, given, (tensor,))[0]

    return run
