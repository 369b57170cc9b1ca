"""Quantised networks whose output is integers: compiled to numbers, and compared in integers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.pipeline.models.foreign.quantised.forms import integers, one_convolution, rounded
from tests.pipeline.models.foreign.quantised.others import (
    as_it_came,
    in_integers,
    model,
    normalised,
    pictures,
    read,
)


@pytest.mark.parametrize("softmax", [False, True])
def test_a_network_that_ends_in_integers_is_compared_in_integers(softmax: bool, tmp_path: Path) -> None:
    nodes, constants = one_convolution(integers((8, 3, 3, 3), -127, 127), 0.01)
    if softmax:
        nodes.append(helper.make_node("Softmax", ["output"], ["shares"]))
    last = rounded("shares" if softmax else "output", "end", 1 / 255 if softmax else 0.1, 0, constants)[0]
    last.output[0] = "integers"
    nodes.append(last)
    whole = model(nodes, constants)
    kind = helper.make_tensor_value_info("integers", TensorProto.UINT8, ["N", 10])
    whole.graph.output[0].CopyFrom(kind)
    onnx.save(whole, tmp_path / "net.onnx")
    images = pictures(4)
    network = read(tmp_path / "net.onnx")
    logits = in_integers(network, images, tmp_path)
    expected = as_it_came(tmp_path / "net.onnx", normalised(images))
    found = np.stack([network.ended(one, 10) for one in logits])
    assert np.abs(found - expected).max() <= 1
    assert expected.max() > 1
