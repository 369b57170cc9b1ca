"""Faults that exporters and decoders make, which have no place in every network, are named too."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from benchmarks.planted.rewiring import insert_behind, set_attribute
from pipeline.difference.compare import compare
from pipeline.difference.fault_kind import FaultKind
from tests.pipeline.difference.small_pair import SIDE, network, pictures

PICTURES = pictures(8)


def pooled(ceil_mode: int = 0, counted: int = 0, kind: str = "MaxPool") -> onnx.ModelProto:
    """Return the network with a pooling behind its first activation."""
    model = network(resizes=False)
    more: dict[str, object] = {"count_include_pad": counted} if kind == "AveragePool" else {}
    form = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": ceil_mode, **more}
    insert_behind(model, "stem.relu", [(kind, [], form)])
    return model


def rectified(before: bool) -> onnx.ModelProto:
    """Return the network with a mean over windows behind its first layer; `before`: its ReLU is in front."""
    model = network(resizes=False)
    steps = ["Relu", "AveragePool"] if before else ["AveragePool", "Relu"]
    names = {"Relu": "stem.relu", "AveragePool": "stem.mean"}
    first, last = names[steps[0]], names[steps[1]]
    for node in model.graph.node:
        node.input[:] = [last if name == "stem.relu" else name for name in node.input]
    at = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "stem.relu")
    del model.graph.node[at]
    for step, source, to in ((steps[1], first, last), (steps[0], "stem", first)):
        node = helper.make_node(step, [source], [to], to)
        if step == "AveragePool":
            set_attribute(node, "kernel_shape", [2, 2])
            set_attribute(node, "strides", [2, 2])
        model.graph.node.insert(at, node)
    return model


def flattened(last: bool, expected: bool = False) -> onnx.ModelProto:
    """Return the network with a last layer that reads every pixel, channels first or last.

    expected: the last layer's weights are in the order that it reads.
    """
    model = network(resizes=False)
    nodes = [
        node for node in model.graph.node if node.op_type not in ("GlobalAveragePool", "Flatten", "Gemm")
    ]
    source = "last.relu"
    if last:
        nodes.append(helper.make_node("Transpose", [source], ["turned"], "turn", perm=[0, 2, 3, 1]))
        source = "turned"
    weight = np.random.default_rng(2).normal(0, 1, (6, 16, SIDE // 4, SIDE // 4)).astype(np.float32)
    weight = (weight.transpose(0, 2, 3, 1) if expected else weight).reshape(6, -1)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "wide.w"))
    nodes.append(helper.make_node("Flatten", [source], ["features"], "flat"))
    nodes.append(helper.make_node("Gemm", ["features", "wide.w"], ["logits"], "head", transB=1))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def seen(change: str) -> onnx.ModelProto:
    """Return the network behind a change of the picture that happens in front of it."""
    model = network(resizes=False)
    if change == "turned":
        insert_behind(model, "image", [("Transpose", [], {"perm": [0, 2, 1, 3]})])
    if change == "enlarged":
        at = np.clip((np.arange(SIDE) - SIDE / 2 + 0.5) / 1.25 + SIDE / 2 - 0.5, 0, SIDE - 1)
        index = np.round(at).astype(np.int64)
        insert_behind(model, "image", [("Gather", [index], {"axis": 1}), ("Gather", [index], {"axis": 2})])
    return model


def normed(training: int | None) -> onnx.ModelProto:
    """Return the network with a norm behind a layer, in evaluation or training mode; None: folded into it."""
    model = network(resizes=False)
    rng = np.random.default_rng(8)
    scale, shift, mean = (rng.uniform(low, 1.5, 8).astype(np.float32) for low in (0.7, -1.0, -1.0))
    variance = rng.uniform(0.5, 4, 8).astype(np.float32)
    if training is None:
        factor = scale / np.sqrt(variance + np.float32(1e-5))
        values = {one.name: one for one in model.graph.initializer}
        weight, bias = (onnx.numpy_helper.to_array(values[name]) for name in ("one.w", "one.b"))
        folded = {"one.w": weight * factor[:, None, None, None], "one.b": (bias - mean) * factor + shift}
        for name, value in folded.items():
            values[name].CopyFrom(onnx.numpy_helper.from_array(value, name))
        return model
    conv = next(node for node in model.graph.node if node.output[0] == "one")
    conv.output[0] = "one.raw"
    names = []
    for name, value in (("scale", scale), ("shift", shift), ("mean", mean), ("variance", variance)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, f"one.{name}"))
        names.append(f"one.{name}")
    outputs = ["one", "one.mean.next", "one.variance.next"] if training else ["one"]
    norm = helper.make_node(
        "BatchNormalization", ["one.raw", *names], outputs, "one.norm", training_mode=training
    )
    model.graph.node.insert(1 + list(model.graph.node).index(conv), norm)
    return model


CASES: dict[str, tuple[Callable[[], onnx.ModelProto], Callable[[], onnx.ModelProto], FaultKind, str]] = {
    "ceil mode": (pooled, lambda: pooled(ceil_mode=1), FaultKind.POOLING, "ceil_mode=1"),
    "counted pads": (
        lambda: pooled(kind="AveragePool"),
        lambda: pooled(kind="AveragePool", counted=1),
        FaultKind.POOLING,
        "count_include_pad=1",
    ),
    "an activation in front of a pooling": (
        lambda: rectified(before=False),
        lambda: rectified(before=True),
        FaultKind.FUSED,
        "B computes Relu on this tensor",
    ),
    "layout": (lambda: flattened(False), lambda: flattened(True), FaultKind.CHANNEL_ORDER, "another order"),
    "orientation": (
        lambda: seen(""),
        lambda: seen("turned"),
        FaultKind.PICTURE_GEOMETRY,
        "transposed",
    ),
    "norm in training mode": (
        lambda: normed(None),
        lambda: normed(1),
        FaultKind.NORM,
        "BatchNormalization in training mode",
    ),
    "crop": (lambda: seen(""), lambda: seen("enlarged"), FaultKind.PICTURE_GEOMETRY, "1.25 times as large"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_named_with_what_was_tried(case: str) -> None:
    sound, faulty, kind, words = CASES[case]
    found = compare(sound(), faulty(), PICTURES)
    assert kind in {one.kind for one in found.findings}, found.findings
    (named,) = (one for one in found.findings if one.kind is kind)
    assert words in named.evidence
    assert named.after_db is not None
    assert named.after_db > named.before_db


SOUND: dict[str, tuple[onnx.ModelProto, onnx.ModelProto]] = {
    "channels last, with weights for it": (flattened(False), flattened(True, expected=True)),
    "a norm that is not folded": (normed(None), normed(0)),
    "ceil mode on both sides": (pooled(ceil_mode=1), pooled(ceil_mode=1)),
}


@pytest.mark.parametrize("case", SOUND)
def test_another_form_of_the_same_network_is_not_accused(case: str) -> None:
    assert compare(*SOUND[case], PICTURES).findings == ()


def joined(gains: NDArray[np.float32], fault: NDArray[np.float32]) -> onnx.ModelProto:
    """Return the network with a layer beside its own input, and with `gains` that the next layer takes back.

    fault: what multiplies the layer's channels besides.
    """
    model = network(resizes=False)
    values = {one.name: one for one in model.graph.initializer}
    first, last = (onnx.numpy_helper.to_array(values[name]) for name in ("one.w", "down.w"))
    bias = onnx.numpy_helper.to_array(values["one.b"])
    wide = np.random.default_rng(4).normal(0, 0.2, (16, 16, 3, 3)).astype(np.float32)
    wide[:, 8:] = last / gains[:, None, None]
    changed = {
        "one.w": first * (gains * fault)[:, None, None, None],
        "one.b": bias * gains * fault,
        "down.w": wide,
    }
    for name, value in changed.items():
        values[name].CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), name))
    nodes = {node.output[0]: node for node in model.graph.node}
    nodes["down"].input[0] = "both"
    both = helper.make_node("Concat", ["stem.relu", "one.relu"], ["both"], "both", axis=1)
    model.graph.node.insert(1 + list(model.graph.node).index(nodes["one.relu"]), both)
    for name in ("two", "sum", "sum.relu"):
        model.graph.node.remove(nodes[name])
    return model


def test_gains_are_taken_back_behind_a_concatenation() -> None:
    rng = np.random.default_rng(9)
    gains, fault, ones = (np.exp(rng.normal(0, size, 8)).astype(np.float32) for size in (0.5, 0.5, 0))

    sound = compare(joined(ones, ones), joined(gains, ones), PICTURES)
    faulty = compare(joined(ones, ones), joined(gains, fault), PICTURES)

    assert sound.findings == ()
    assert [(one.kind, one.place) for one in faulty.findings] == [(FaultKind.NORM, "one")]


def averaged(pool: str, gains: NDArray[np.float32]) -> onnx.ModelProto:
    """Return the network with another pooling, of channels with `gains` that the last layer takes back."""
    model = network(resizes=False)
    next(node for node in model.graph.node if node.op_type == "GlobalAveragePool").op_type = pool
    (head,) = (one for one in model.graph.initializer if one.name == "head.w")
    insert_behind(model, "last.relu", [("Mul", [gains[:, None, None]], {})])
    head.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(head) / gains, "head.w"))
    return model


def test_another_pooling_of_rescaled_channels_is_named() -> None:
    """Its input was taken for the tensor in front of the gains, so that no pooling explained it."""
    gains = np.exp(np.random.default_rng(9).normal(0, 0.5, 16)).astype(np.float32)
    faulty = compare(network(resizes=False), averaged("GlobalMaxPool", gains), PICTURES)
    sound = compare(network(resizes=False), averaged("GlobalAveragePool", gains), PICTURES)
    assert sound.findings == ()
    assert (FaultKind.POOLING, "mean_of_pixels") in {(one.kind, one.place) for one in faulty.findings}
