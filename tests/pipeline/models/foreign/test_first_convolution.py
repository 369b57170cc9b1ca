"""Whatever a network begins with, one convolution reads the pixels, and the answers stay."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from calibration.fold_pixels import find_pixel_input
from calibration.onnx_graph import OnnxGraph
from calibration.scheme import Scheme
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.original import Original
from pipeline.models.foreign.rewrite import adopt
from targets.reference import ReferenceTarget
from tests.pipeline.models.foreign.networks import pixels
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save

Nodes = Sequence[onnx.NodeProto]
Weights = Mapping[str, NDArray[Any]]
Begin = tuple[Nodes, Weights]
NCHW = ("N", 3, 32, 32)
NHWC = ("N", 32, 32, 3)
BLACK = {"pads": np.array([0, 2, 3, 0, 0, 1, 0, 0])}
MEAN = {"mean": np.array([103.9, 116.8, 123.7], np.float32)}
turn = helper.make_node("Transpose", ["turnable"], ["a"], perm=[0, 3, 1, 2])


def conv(source: str, target: str = "last", **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401
    return helper.make_node("Conv", [source, "w", "bias"], [target], **attributes)


def kernel(planes: int = 3) -> Weights:
    return {"w": 0.3 * floats(6, planes, 3, 3), "bias": floats(6)}


def padded_nhwc(value: float | None = None) -> Begin:
    given = ["x", "pads"] if value is None else ["x", "pads", "value"]
    fill = {} if value is None else {"value": np.array(value, np.float32)}
    pad = helper.make_node("Pad", given, ["turnable"])
    return [pad, turn, conv("a", strides=[2, 2])], {**BLACK, **fill, **kernel()}


def padded_before_its_mean() -> Begin:
    """Keras' networks from Caffe: pixels are padded with black, turned to BGR, and only then centred."""
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("Slice", ["padded", "from", "to", "axis", "step"], ["bgr"]),
        helper.make_node("Sub", ["bgr", "mean"], ["turnable"]),
        turn,
        conv("a"),
    ]
    places = {
        "from": np.array([-1]),
        "to": np.array([-(2**63)]),
        "axis": np.array([3]),
        "step": np.array([-1]),
    }
    return nodes, {**places, **BLACK, **MEAN, **kernel()}


def gathered() -> Begin:
    nodes = [helper.make_node("Gather", ["x", "order"], ["a"], axis=1), conv("a", pads=[1, 1, 1, 1])]
    return nodes, {"order": np.array([2, 1, 0]), **kernel()}


def pooled() -> Begin:
    return [helper.make_node("MaxPool", ["x"], ["a"], kernel_shape=[2, 2]), conv("a")], kernel()


def grouped() -> Begin:
    return [conv("x", group=3, pads=[1, 1, 1, 1])], kernel(1)


def branched() -> Begin:
    nodes = [
        conv("x", "left", pads=[1, 1, 1, 1]),
        conv("x", "right", pads=[1, 1, 1, 1], dilations=[1, 1]),
        helper.make_node("Relu", ["right"], ["bent"]),
        helper.make_node("Add", ["left", "bent"], ["last"]),
    ]
    return nodes, kernel()


def summed() -> Begin:
    """RepVGG's first block while it is trained, and a third branch that pads more at the top."""
    nodes = [
        conv("x", "left", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["x", "w1"], ["right"], strides=[2, 2]),
        helper.make_node("Add", ["left", "right"], ["two"]),
        helper.make_node("Conv", ["x", "w3"], ["wide"], strides=[2, 2], pads=[3, 0, 1, 2]),
        helper.make_node("Add", ["wide", "two"], ["last"]),
    ]
    return nodes, {"w1": floats(6, 3, 1, 1), "w3": 0.2 * floats(6, 3, 5, 3), **kernel()}


def summed_of_other_places() -> Begin:
    """Both give 16 rows, and one begins a row later: no padding makes them one convolution."""
    nodes = [
        conv("x", "left", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["x", "w2"], ["right"], strides=[2, 2]),
        helper.make_node("Add", ["left", "right"], ["last"]),
    ]
    return nodes, {"w2": floats(6, 3, 2, 2), **kernel()}


def summed_and_read_again() -> Begin:
    nodes = [
        conv("x", "left", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["x", "w1"], ["right"]),
        helper.make_node("Add", ["left", "right"], ["sum"]),
        helper.make_node("Mul", ["sum", "right"], ["last"]),
    ]
    return nodes, {"w1": floats(6, 3, 1, 1), **kernel()}


def padded_and_pooled() -> Begin:
    nodes = [
        helper.make_node("Pad", ["x", "pads", "value"], ["padded"]),
        helper.make_node("Mul", ["padded", "factor"], ["a"]),
        helper.make_node("AveragePool", ["a"], ["b"], kernel_shape=[2, 2]),
        conv("b"),
    ]
    numbers = {
        "pads": np.array([0, 0, 2, 3, 0, 0, 0, 1]),
        "value": np.array(0.5, np.float32),
        "factor": floats(3, 1, 1) + 2,
    }
    return nodes, {**numbers, **kernel()}


def padded_twice() -> Begin:
    """A border with a value in front of a convolution that pads with zero itself."""
    pad = helper.make_node("Pad", ["x", "pads", "value"], ["a"])
    numbers = {"pads": np.array([0, 0, 2, 3, 0, 0, 0, 1]), "value": np.array(0.5, np.float32)}
    return [pad, conv("a", pads=[1, 1, 1, 1])], {**numbers, **kernel()}


def mirrored() -> Begin:
    pad = helper.make_node("Pad", ["x", "pads"], ["a"], mode="reflect")
    return [pad, conv("a")], {"pads": np.array([0, 0, 2, 3, 0, 0, 0, 1]), **kernel()}


def counted() -> Begin:
    """A class token for each image, whose number is asked of the input (vision transformers)."""
    nodes = [
        helper.make_node("Shape", ["x"], ["size"], start=0, end=1),
        conv("x", "maps"),
        helper.make_node("Concat", ["size", "one_token"], ["tokens"], axis=0),
        helper.make_node("Expand", ["token", "tokens"], ["every_token"]),
        helper.make_node("Concat", ["every_token", "maps"], ["last"], axis=2),
    ]
    return nodes, {"one_token": np.array([6, 1, 30]), "token": floats(1, 6, 1, 1), **kernel()}


def never_turned() -> Begin:
    """NHWC, with something in front of its Transpose that is no step of a normalisation."""
    bent = helper.make_node("Clip", ["x", "least"], ["turnable"])
    return [bent, turn, conv("a")], {"least": np.array(0.1, np.float32), **kernel()}


CASES: dict[str, tuple[Callable[[], Begin], Sequence[int | str], bool]] = {
    "NHWC, padded": (padded_nhwc, NHWC, True),
    "NHWC, padded with a value": (lambda: padded_nhwc(0.5), NHWC, True),
    "NHWC, padded, then BGR, then centred": (padded_before_its_mean, NHWC, True),
    "BGR by Gather": (gathered, NCHW, True),
    "a pool": (pooled, NCHW, False),
    "images counted": (counted, NCHW, True),
    "groups": (grouped, NCHW, True),
    "two branches": (branched, NCHW, False),
    "convolutions whose sum is read": (summed, NCHW, True),
    "convolutions in other places": (summed_of_other_places, NCHW, False),
    "a sum, and one of its convolutions": (summed_and_read_again, NCHW, False),
    "padded and pooled": (padded_and_pooled, NCHW, False),
    "padded twice": (padded_twice, NCHW, False),
    "mirrored": (mirrored, NCHW, False),
    "NHWC, used before it is turned": (never_turned, NHWC, False),
}


@pytest.mark.parametrize("colors", ["RGB", "BGR"])
@pytest.mark.parametrize("name", CASES)
def test_one_convolution_reads_the_pixels_and_the_answers_stay(
    name: str, colors: str, tmp_path: Path
) -> None:
    begin, shape, is_ready = CASES[name]
    nodes, weights = begin()
    end = [
        helper.make_node("GlobalAveragePool", ["last"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["y"]),
    ]
    path = save(graph([*nodes, *end], weights, shape=shape), tmp_path)
    layout = "NHWC" if shape == NHWC else "NCHW"
    source = described(
        path,
        Description.model_validate(
            {"layout": layout, "colors": colors, "mean": [0.3, 0.4, 0.5], "std": [0.2, 0.3, 0.25]}
        ),
    )
    said: list[str] = []
    made = adopt(source, True, said.append)
    onnx.save(made, tmp_path / "model.onnx")
    assert find_pixel_input(OnnxGraph(made), Scheme.ASYM)
    assert bool(said) is not is_ready
    original = Original(source)
    told = np.stack([original.infer(image) for image in pixels()])
    with ReferenceTarget().open(tmp_path / "model.onnx") as runner:
        np.testing.assert_allclose(runner.infer(pixels()), told, rtol=1e-4, atol=1e-4)
