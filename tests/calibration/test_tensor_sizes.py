"""Sizes are known where they follow from the graph, also through computed pads; onnxruntime is the judge."""

import numpy as np
import onnx
import onnxruntime

from calibration.collect import collect
from calibration.onnx_graph import OnnxGraph
from calibration.recipe import QuantRecipe
from calibration.tensor_sizes import tensor_sizes
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported


def test_every_size_is_that_of_a_run(exported: Exported) -> None:
    graph = OnnxGraph.load(exported.path)
    dependent = [node.output[0] for node in graph.nodes if graph.folded(node.output[0]) is None]
    shown = onnx.ModelProto()
    shown.CopyFrom(graph.model)
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dependent if name != "logits")
    session = onnxruntime.InferenceSession(shown.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {"image": np.zeros((1, *exported.image_shape), np.uint8)})
    found = tensor_sizes(graph)
    for name, value in zip(names, values, strict=True):
        assert found[name][1:] == list(np.shape(value))[1:], name


def test_shortcuts_that_pad_channels_are_no_obstacle_to_wide_activations(exported: Exported) -> None:
    recipe = QuantRecipe.parse("w8a8_asym_mse_widest")
    found = collect(exported.path, [pictures(8, exported.image_shape)], recipe)
    assert found.left_out == ()
    assert found.wide
