"""Usual mistakes of exporters, runtimes and ports, as operators in the place of A's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.onnx_graph import attribute, set_attribute
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.place import GraphPlace, real_proto, window_pads

Array = NDArray[Any]

ACTIVATIONS = (
    "Relu",
    "Clip",
    "LeakyRelu",
    "HardSwish",
    "HardSigmoid",
    "Sigmoid",
    "Tanh",
    "PRelu",
    "Elu",
    "Gelu",
)
WINDOWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")


@dataclass(frozen=True)
class Alternative:
    """A change of A that may make it compute what B does: other operators, or other constants."""

    kind: FaultKind
    words: str
    """What B would then do."""
    at: onnx.NodeProto
    """A's operator that is changed."""
    nodes: tuple[onnx.NodeProto, ...]
    changed: Mapping[str, Array] = field(default_factory=dict)


def alternatives(place: GraphPlace) -> Iterator[Alternative]:
    """Yield the usual mistakes for each operator of a place, one at a time."""
    nodes = tuple(real_proto(node) for node in place.nodes)
    for at, node in enumerate(nodes):
        for kind, words, replacement, changed in _of_node(place, node):
            yield Alternative(kind, words, node, (*nodes[:at], *replacement, *nodes[at + 1 :]), changed)


Change = tuple[FaultKind, str, tuple[onnx.NodeProto, ...], dict[str, Array]]


def _of_node(place: GraphPlace, node: onnx.NodeProto) -> Iterator[Change]:
    if node.op_type in WINDOWS:
        yield from _windows(node)
    if node.op_type in ACTIVATIONS:
        yield from _activations(place, node)
    if node.op_type in ("Add", "Sum", "Concat", "Mul"):
        yield from _operands(place, node)
    if node.op_type in ("GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool"):
        yield from _poolings(node)
    if node.op_type in ("Resize", "Upsample"):
        yield from _resizes(node)


def _with(node: onnx.NodeProto, **attributes: object) -> onnx.NodeProto:
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    for name, value in attributes.items():
        set_attribute(changed, name, value)
    return changed


def _windows(node: onnx.NodeProto) -> Iterator[Change]:
    pads = window_pads(node)
    half = len(pads) // 2
    total = [before + after for before, after in zip(pads[:half], pads[half:], strict=True)]
    sides = {
        "at the end only, as SAME_UPPER with stride 2 does": [0] * half + total,
        "at the beginning only, as SAME_LOWER does": total + [0] * half,
        "with the smaller half first": [t // 2 for t in total] + [t - t // 2 for t in total],
        "with the larger half first": [t - t // 2 for t in total] + [t // 2 for t in total],
    }
    for words, other in sides.items():
        if other != pads:
            yield (
                FaultKind.PADDING,
                f"pads {words}: {other} instead of {pads}",
                (_with(node, pads=other),),
                {},
            )
    kernel = list(attribute(node, "kernel_shape", []))
    now = list(attribute(node, "dilations", [1] * half))
    for rate in (1, 2, 3, 4):
        dilated = [rate] * half
        if dilated == now or not kernel:
            continue
        same = [(k - 1) * rate // 2 for k in kernel]
        words = f"has dilations {dilated} instead of {now}"
        yield FaultKind.WINDOW, words, (_with(node, dilations=dilated, pads=same * 2),), {}
    if node.op_type in ("MaxPool", "AveragePool"):
        mode = attribute(node, "ceil_mode", 0)
        yield FaultKind.POOLING, f"has ceil_mode={1 - mode}", (_with(node, ceil_mode=1 - mode),), {}
    if node.op_type == "AveragePool":
        counted = attribute(node, "count_include_pad", 0)
        words = f"has count_include_pad={1 - counted}"
        yield FaultKind.POOLING, words, (_with(node, count_include_pad=1 - counted),), {}


def _activations(place: GraphPlace, node: onnx.NodeProto) -> Iterator[Change]:
    source, out, name = node.input[0], node.output[0], node.name
    zero, six = f"{out}/zero", f"{out}/six"
    limits = {zero: np.float32(0), six: np.float32(6)}

    def one(operator: str, alpha: float | None = None) -> tuple[onnx.NodeProto, ...]:
        return (helper.make_node(operator, [source], [out], name, alpha=alpha),)

    yield FaultKind.ACTIVATION, "has no activation", one("Identity"), {}
    yield FaultKind.ACTIVATION, "is a ReLU", one("Relu"), {}
    six_node = (helper.make_node("Clip", [source, zero, six], [out], name),)
    yield FaultKind.ACTIVATION, "is a ReLU6", six_node, {k: np.asarray(v) for k, v in limits.items()}
    for operator in ("HardSwish", "HardSigmoid", "Sigmoid", "Tanh"):
        yield FaultKind.ACTIVATION, f"is {operator}", one(operator), {}
    torch_hard = one("HardSigmoid", alpha=1 / 6)
    yield FaultKind.ACTIVATION, "is HardSigmoid with a slope of 1/6, as in torch", torch_hard, {}
    gate = helper.make_node("Sigmoid", [source], [f"{out}/gate"], f"{name}/gate")
    product = helper.make_node("Mul", [source, f"{out}/gate"], [out], name)
    yield FaultKind.ACTIVATION, "is SiLU", (gate, product), {}
    slope = _slope_below_zero(place, source)
    if slope is not None:
        words = f"is a leaky ReLU with a slope of {slope:.3g} below 0"
        yield FaultKind.ACTIVATION, words, one("LeakyRelu", alpha=slope), {}


def _slope_below_zero(place: GraphPlace, source: str) -> float | None:
    """Return the slope that fits B's values where A's input is negative."""
    given = place.given.get(source)
    if given is None or given.shape != place.expected.shape:
        return None
    below = given < 0
    x, y = given[below].astype(np.float64), place.expected[below].astype(np.float64)
    power = float(x @ x)
    return float(x @ y / power) if power > 0 else None


def _operands(place: GraphPlace, node: onnx.NodeProto) -> Iterator[Change]:
    computed = [name for name in node.input if name not in place.graph.constants]
    for kept in computed:
        if len(computed) > 1:
            only = helper.make_node("Identity", [kept], [node.output[0]], node.name)
            left = " and ".join(name for name in computed if name != kept)
            yield FaultKind.MISSING_OPERAND, f"leaves out {left}", (only,), {}
    if node.op_type in ("Add", "Mul") and len(computed) == 2:
        other = "Mul" if node.op_type == "Add" else "Add"
        swapped = helper.make_node(other, list(node.input), list(node.output), node.name)
        yield FaultKind.MISSING_OPERAND, f"is {other} instead of {node.op_type}", (swapped,), {}


def _poolings(node: onnx.NodeProto) -> Iterator[Change]:
    pairs = {
        "GlobalAveragePool": "GlobalMaxPool",
        "GlobalMaxPool": "GlobalAveragePool",
        "AveragePool": "MaxPool",
        "MaxPool": "AveragePool",
    }
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    changed.op_type = pairs[node.op_type]
    kept = [one for one in node.attribute if one.name not in ("count_include_pad", "storage_order")]
    del changed.attribute[:]
    changed.attribute.extend(kept)
    yield FaultKind.POOLING, f"is {changed.op_type} instead of {node.op_type}", (changed,), {}


def _resizes(node: onnx.NodeProto) -> Iterator[Change]:
    now = _resize_words(node)
    for mode in ("nearest", "linear", "cubic"):
        for corners in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"):
            roundings = ("round_prefer_floor", "floor", "ceil") if mode == "nearest" else ("",)
            for rounding in roundings:
                settings: dict[str, object] = {"mode": mode, "coordinate_transformation_mode": corners}
                if rounding:
                    settings["nearest_mode"] = rounding
                changed = _with(node, **settings)
                words = _resize_words(changed)
                if words != now:
                    yield FaultKind.RESIZE, f"resizes by {words} instead of {now}", (changed,), {}


def _resize_words(node: onnx.NodeProto) -> str:
    def text(name: str, default: str) -> str:
        found = attribute(node, name, default)
        return found.decode() if isinstance(found, bytes) else str(found)

    mode = text("mode", "nearest")
    rounding = f", {text('nearest_mode', 'round_prefer_floor')}" if mode == "nearest" else ""
    return f"{mode}, {text('coordinate_transformation_mode', 'half_pixel')}{rounding}"
