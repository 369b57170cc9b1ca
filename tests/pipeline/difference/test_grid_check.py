"""What a quantiser does to a tensor, judged by the other side's values."""

import numpy as np
import onnx
import pytest
from onnx import helper

from pipeline.difference.compare import compare
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.grid_check import check_grid
from pipeline.difference.real_graph import TensorGrid
from tests.pipeline.difference.small_pair import Pair

RECIPE = "w8a8_asym_mse_bc"

VALUES = np.random.default_rng(0).normal(0, 1, (2, 3, 8, 8)).astype(np.float32)
SCALE, ZERO = np.array([4 / 255], np.float32), np.array([0], np.uint8)
FROM_ZERO = TensorGrid("x", "x.read", SCALE, ZERO, SCALE, ZERO)


def test_a_range_from_0_stands_for_a_relu_only_where_there_is_one() -> None:
    """A picture that lost its dark half passed for one behind a ReLU."""
    read = (np.clip(np.rint(VALUES / SCALE), 0, 255) * SCALE).astype(np.float32)
    folded = check_grid("x", FROM_ZERO, VALUES, read, VALUES, rectified=True)
    cut = check_grid("x", FROM_ZERO, VALUES, read, VALUES)
    assert folded is None
    assert cut is not None
    assert cut.kind is FaultKind.CLIPPED_RANGE
    assert "the range [0, 4] cuts" in cut.evidence


@pytest.mark.parametrize(
    ("factor", "off", "kind"),
    [(0.25, 0, FaultKind.CLIPPED_RANGE), (20, 0, FaultKind.COARSE_RANGE), (1, 20, FaultKind.ZERO_POINT)],
)
def test_each_reader_may_have_a_quantiser_of_its_own(
    pair: Pair, factor: float, off: int, kind: FaultKind
) -> None:
    """Only the first quantiser of a tensor was looked at."""
    model = onnx.ModelProto()
    model.CopyFrom(pair.quantised[RECIPE])
    nodes = model.graph.node
    made_by = {node.output[0]: node for node in nodes}
    add = next(node for node in nodes if node.op_type == "Add")
    quantise = made_by[made_by[add.input[1]].input[0]]
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    scale, zero = (constants[name] for name in quantise.input[1:])
    for name, value in (("s", scale * np.float32(factor)), ("z", zero), ("r", zero + zero.dtype.type(off))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), f"own.{name}"))
    add.input[1] = "own.read"
    at = list(nodes).index(add)
    nodes.insert(at, helper.make_node("DequantizeLinear", ["own", "own.s", "own.r"], ["own.read"]))
    nodes.insert(at, helper.make_node("QuantizeLinear", [quantise.input[0], "own.s", "own.z"], ["own"]))

    found = compare(pair.float_model, model, pair.pictures)

    assert [one.kind for one in found.findings] == [kind]
