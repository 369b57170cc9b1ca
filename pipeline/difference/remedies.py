"""Tries what is proposed: repairs a copy of B, one kind of fault after another, and compares the logits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.exact.session import is_from_onnxruntime
from calibration.grid import activation_grid
from calibration.observers import make_observer
from calibration.scheme import ObserverName, Scheme
from pipeline.difference.compare import NetworkComparison
from pipeline.difference.decibels import MOST_DB, ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.fused_differently import operators_around
from pipeline.difference.half_overflow import IN_FLOAT32
from pipeline.difference.layer_means import mean_shift
from pipeline.difference.place import Array, Sides
from pipeline.difference.real_graph import LAYERS, TensorGrid
from pipeline.difference.repaired_graph import RepairedGraph

OF_PICTURES = (FaultKind.PICTURE_COLOURS, FaultKind.NORMALISATION, FaultKind.PICTURE_GEOMETRY)
OF_RANGES = (FaultKind.CLIPPED_RANGE, FaultKind.COARSE_RANGE)
OBSERVERS = (ObserverName.MINMAX, ObserverName.MSE)
"""What a new range may be read from, the simplest first."""
BETTER_DB = 0.5


@dataclass(frozen=True)
class RemedyTrial:
    """How far B's logits agree with A's without a remedy, and with it. Earlier ones are in both."""

    before_db: float
    after_db: float
    observer: ObserverName | None = None
    """The observer that a new range was read with."""


def try_remedies(found: NetworkComparison) -> tuple[RemedyTrial | None, ...]:
    """Return what each finding's remedy does to B's logits; None where it cannot be done to the graph."""
    network = RepairedGraph.of(found.sides, found.rescaled)
    logits_a = found.sides.a_values[found.sides.a.output]
    now = agreement_with(network.model, logits_a, found.pictures)
    tried: dict[tuple[str, str], RemedyTrial | None] = {}
    for one in found.findings:
        group = (one.kind, one.remedy)
        if now is not None and one.remedy == IN_FLOAT32:
            tried.setdefault(group, RemedyTrial(-MOST_DB, now))
        if group in tried or now is None:
            continue
        alike = [other for other in found.findings if (other.kind, other.remedy) == group]
        best = _best(network, alike, logits_a, found.pictures)
        tried[group] = None
        if best is not None:
            network, after, observer = best
            tried[group] = RemedyTrial(now, after, observer)
            now = after
    return tuple(tried.get((one.kind, one.remedy)) for one in found.findings)


def _best(
    network: RepairedGraph, alike: Sequence[Discrepancy], logits_a: Array, pictures: NDArray[np.uint8]
) -> tuple[RepairedGraph, float, ObserverName | None] | None:
    """Return the network with this repair, or with the best one of several, and how far it agrees."""
    best: tuple[RepairedGraph, float, ObserverName | None] | None = None
    for observer in OBSERVERS if alike[0].kind in OF_RANGES else (None,):
        repaired = network
        for one in alike:
            repaired = _repaired(repaired, one, observer) or repaired
        after = None if repaired is network else agreement_with(repaired.model, logits_a, pictures)
        if after is not None and (best is None or after > best[1] + BETTER_DB):
            best = repaired, after, observer
    return best


def agreement_with(model: onnx.ModelProto, logits_a: Array, pictures: NDArray[np.uint8]) -> float | None:
    """Return how far a network's logits agree with A's; None where it does not run."""
    from calibration.exact.session import ALL_CORES, AS_WRITTEN, open_session

    try:
        session = open_session(model.SerializeToString(), ALL_CORES, AS_WRITTEN)
        source, output = session.get_inputs()[0], session.get_outputs()[0].name
        step = source.shape[0] if isinstance(source.shape[0], int) else len(pictures)
        parts = [
            session.run([output], {source.name: pictures[at : at + step]})[0]
            for at in range(0, len(pictures), step)
        ]
    except Exception as error:
        if not is_from_onnxruntime(error):
            raise
        return None
    logits = np.concatenate(parts)
    return ratio_db(logits_a, logits.reshape(logits_a.shape)) if logits.size == logits_a.size else None


def _repaired(
    network: RepairedGraph, fault: Discrepancy, observer: ObserverName | None
) -> RepairedGraph | None:
    """Return the network without one fault; None where that is not known to be possible."""
    sides, tensor = network.sides, fault.place
    if fault.kind in OF_PICTURES:
        return _with_picture(network)
    if observer is not None:
        return with_range(network, tensor, observer)
    if tensor not in sides.matching.names:
        return None
    match fault.kind:
        case FaultKind.BIAS_CORRECTION:
            shift = mean_shift(sides, network.rescaled, tensor)
            return None if shift is None else network.with_shift(tensor, -shift.by)
        case FaultKind.FUSED:
            return _without_fusion(network, tensor)
        case _:
            return _with_values_of_a(network, fault.kind, tensor)


def _with_values_of_a(network: RepairedGraph, kind: FaultKind, tensor: str) -> RepairedGraph | None:
    """Let B have A's scale, zero point, direct connection or operators at a tensor."""
    sides = network.sides
    if kind in (FaultKind.SCALE, FaultKind.ZERO_POINT):
        for grid in grids_of(sides, tensor):
            network = network.with_grid(grid.written, None)
        if kind is FaultKind.ZERO_POINT:
            return network
    if sides.read_elsewhere(tensor):
        network = network.with_direct_readers(tensor)
        if kind is FaultKind.HALF_PRECISION:
            return network
    return network.with_operators(tensor)


def _without_fusion(network: RepairedGraph, tensor: str) -> RepairedGraph:
    """Let B compute an activation where A does: the operators around `tensor` become A's."""
    sides = network.sides
    if sides.read_elsewhere(tensor):
        network = network.with_direct_readers(tensor)
    network = with_range(network, tensor, ObserverName.MINMAX) or network
    for name in operators_around(sides, tensor):
        network = network.with_operators(name) or network
    return network


def _with_picture(network: RepairedGraph) -> RepairedGraph | None:
    """Let every first layer see the picture as A's does."""
    a = network.sides.a
    first = [
        node.output for node in a.nodes if node.operator in LAYERS and not set(node.inputs) & a.behind_layer
    ]
    for tensor in first:
        repaired = network.with_operators(tensor, from_picture=True)
        if repaired is None:
            return None
        network = repaired
    return network if first else None


def grids_of(sides: Sides, tensor: str) -> Iterator[TensorGrid]:
    """Yield B's grids of a tensor of A, and of what B makes of it for its readers."""
    for name in _of_b(sides, tensor):
        yield from sides.b.all_grids.get(name, ())


def _of_b(sides: Sides, tensor: str) -> list[str]:
    """Return B's tensors for one of A; for one that B lacks, such as the picture, what B's layer reads."""
    if tensor in sides.matching.names:
        return [sides.matching.names[tensor], *sides.read_elsewhere(tensor)]
    readers = [node.output for node in sides.a.nodes if node.inputs[:1] == (tensor,)]
    others = [sides.b.producer(sides.matching.names.get(one, "")) for one in readers]
    return list(dict.fromkeys(one.inputs[0] for one in others if one is not None))


def with_range(network: RepairedGraph, tensor: str, observer: ObserverName) -> RepairedGraph | None:
    """Give a tensor the range of A's values, as an observer reads it."""
    sides, changed = network.sides, network
    if tensor not in sides.a_values:
        return None
    values = sides.a_values[tensor]
    if (affine := network.rescaled.get(tensor)) is not None:
        values = affine.applied(values)
    for grid in grids_of(sides, tensor):
        kind = grid.zero_point.dtype
        if kind not in (np.int8, np.uint8) or grid.zero_point.size != 1:
            return None
        around_zero = kind == np.int8 and not grid.zero_point.any()
        scheme = Scheme.SYM if around_zero else Scheme.ASYM
        if (grid.limits[0] == 0).all() and sides.is_rectified(tensor):  # a ReLU may be left to the grid
            values = np.maximum(values, 0)
        seen = make_observer(observer, scheme)
        seen.update(values.astype(np.float32))
        limits = seen.range()
        made = activation_grid(limits.low, limits.high, scheme)
        if kind == np.int8 and not around_zero:
            made = replace(made, zero_point=np.int8(int(made.zero_point) - 128))
        changed = changed.with_grid(grid.written, made)
    return changed if changed is not network else None
