"""Averages of quantised networks: where onnxruntime's depend on how they run, the definition decides."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pipeline.errors import CheckpointError
from targets.runtime.exact.session import AS_WRITTEN, LADDER, SessionSettings
from tests.pipeline.models.foreign.networks import SIDE
from tests.pipeline.models.foreign.quantised.forms import integers, node, rounded
from tests.pipeline.models.foreign.quantised.others import (
    as_it_came,
    in_integers,
    model,
    normalised,
    pictures,
    read,
)

SCALE, CHANNELS = 0.02, 8
TWO = {"kernel_shape": [2, 2], "strides": [2, 2]}
PADDED = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
AT_BORDERS: dict[str, dict[str, Any]] = {
    "padding not counted": PADDED,
    "padding counted": PADDED | {"count_include_pad": 1},
    "windows beyond the end": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    "windows beyond counted padding": PADDED | {"pads": [1, 1, 0, 0], "ceil_mode": 1, "count_include_pad": 1},
    "counted, far beyond": PADDED
    | {"kernel_shape": [5, 5], "strides": [3, 3], "pads": [2] * 4, "ceil_mode": 1, "count_include_pad": 1},
    "SAME_UPPER": {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    "SAME_LOWER": {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"},
    "one side": {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [0, 1, 1, 0]},
}
"""Windows that divide by another number of cells at the borders."""


def noise(count: int) -> NDArray[np.uint8]:
    """Pictures whose neighbouring pixels differ: an average of equal values would show no rounding."""
    return np.random.default_rng(0).integers(0, 256, pictures(count).shape, np.uint8)


def averages(folder: Path, zero: int, scale: float, operator: str, windows: Iterable[dict[str, Any]]) -> Path:
    """A network that ends in averages of values that have the step SCALE: `output`, rounded to `scale`."""
    constants: dict[str, NDArray[Any]] = {
        "w": integers((CHANNELS, 3, 1, 1), -63, 63),  # no two products saturate on x86 without VNNI
        "w_s": np.array(0.0122474, np.float32),  # no sum of the convolution lies at a half
        "z_s": np.array(scale, np.float32),
        "z_z": np.array(zero, np.uint8),
    }
    nodes = [
        *rounded("input", "x", 0.02, 120, constants),
        node("DequantizeLinear", ["w", "w_s"], ["w_dq"]),
        node("Conv", ["x", "w_dq"], ["c"]),
        *rounded("c", "y", SCALE, zero, constants),
    ]
    parts = []
    for number, window in enumerate(windows):
        a, part = f"a{number}", f"part{number}"
        if operator == "AveragePool":
            nodes += [
                node("AveragePool", ["y"], [a], f"average{number}", **window),
                node("QuantizeLinear", [a, "z_s", "z_z"], [f"{a}_q"]),
            ]
        else:
            reads, contrib = ["y_q", "y_s", "y_z", "z_s", "z_z"], "com.microsoft"
            nodes.append(node(operator, reads, [f"{a}_q"], f"average{number}", domain=contrib, **window))
        nodes += [
            node("DequantizeLinear", [f"{a}_q", "z_s", "z_z"], [f"{a}_dq"]),
            node("Flatten", [f"{a}_dq"], [part]),
        ]
        parts.append(part)
    nodes.append(node("Concat", parts, ["output"], axis=1))
    onnx.save(model(nodes, constants, contrib=operator != "AveragePool"), folder / "theirs.onnx")
    return folder / "theirs.onnx"


def sums(theirs: Path, fed: NDArray[Any], settings: SessionSettings) -> NDArray[Any]:
    """The sum of each window of 2 x 2, in steps, from the integers that onnxruntime averages."""
    watched = onnx.load(theirs)
    del watched.graph.output[:]
    watched.graph.output.append(helper.make_tensor_value_info("wide", TensorProto.FLOAT, ["N", None]))
    watched.graph.node.append(node("Flatten", ["y"], ["wide"]))
    onnx.save(watched, theirs.with_name("watched.onnx"))
    values = as_it_came(theirs.with_name("watched.onnx"), fed, settings)
    steps = np.rint(values / np.float32(SCALE)).astype(np.int64)
    windows = steps.reshape(len(fed), CHANNELS, SIDE // 2, 2, SIDE // 2, 2)
    return np.asarray(windows.sum((3, 5))).reshape(len(fed), -1)


@pytest.mark.parametrize("zero", [112, 113])
def test_only_values_at_a_half_differ_by_one_step(zero: int, tmp_path: Path) -> None:
    """ONNX's QuantizeLinear rounds a half to the even number, and adds the zero point then.

    onnxruntime's fused average adds it before, so an odd zero point sends every half to the other side;
    unfused, the order of its float operations decides. Everywhere else all agree.
    """
    images = noise(3)
    theirs = averages(tmp_path, zero, SCALE, "AveragePool", [TWO])
    fed = normalised(images)
    ours = np.rint(in_integers(read(theirs), images, tmp_path) / np.float32(SCALE))
    for settings in (LADDER[0], AS_WRITTEN):
        total = sums(theirs, fed, settings)
        found = np.rint(as_it_came(theirs, fed, settings) / np.float32(SCALE))
        half = total % 4 == 2
        assert half.mean() > 0.04
        np.testing.assert_array_equal(ours, np.rint(total / 4))
        np.testing.assert_array_equal(ours[~half], found[~half])
        assert np.abs(ours - found).max() <= 1


@pytest.mark.parametrize("operator", ["AveragePool", "QLinearAveragePool"])
def test_averages_at_the_borders_divide_by_the_cells_that_count(operator: str, tmp_path: Path) -> None:
    """As in onnxruntime: its integer operator counts cells beyond the padding, its float one does not."""
    images = noise(2)
    theirs = averages(tmp_path, 113, 0.0137, operator, AT_BORDERS.values())
    found = in_integers(read(theirs), images, tmp_path)
    np.testing.assert_array_equal(found, as_it_came(theirs, normalised(images), AS_WRITTEN))


def test_windows_that_may_begin_in_counted_padding_are_refused_by_name(tmp_path: Path) -> None:
    window = TWO | {"pads": [1] * 4, "ceil_mode": 1, "count_include_pad": 1}
    theirs = averages(tmp_path, 113, SCALE, "QLinearAveragePool", [window])
    with pytest.raises(CheckpointError, match="'average0' counts its padding, in windows that may begin"):
        read(theirs)
