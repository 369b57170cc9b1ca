"""What is said of graphs of TensorFlow that call functions advises a conversion that writes them out."""

from pathlib import Path

import pytest
from onnx import helper

from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import read_foreign
from pipeline.models.foreign.rewrite import adopt
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save


@pytest.mark.parametrize("call", ["StatefulPartitionedCall", "PartitionedCall"])
def test_converting_the_saved_model_helps(call: str, tmp_path: Path) -> None:
    """It said to export in another opset, and no opset has such a call. tf2onnx names what is inside so."""
    weights = {"StatefulPartitionedCall/net/conv/w": floats(4, 3, 3, 3)}
    written_out = [
        helper.make_node("Conv", ["x", *weights], ["maps"], "StatefulPartitionedCall/net/conv"),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"], "StatefulPartitionedCall/net/pool"),
        helper.make_node("Flatten", ["pooled"], ["y"], "StatefulPartitionedCall/net/flatten"),
    ]
    net = save(graph([helper.make_node(call, ["x"], ["y"], call)], shape=("N", 3, 8, 8)), tmp_path)
    check_advice(
        "Convert the SavedModel or the Keras network itself, which writes its operators out: python -m",
        lambda: adopt(read_foreign(net), True, lambda _: None),
        lambda: save(graph(written_out, weights, shape=("N", 3, 8, 8)), tmp_path),
        CheckpointError,
    )
