"""Simplifies a graph: folds constants and batch norms, and removes unused nodes."""

import tempfile
from pathlib import Path

import onnx
from onnx import helper, shape_inference

from calibration.onnx_graph import drop_unused_initializers
from pipeline.models.foreign.normal_form.known_shapes import read_by
from pipeline.models.foreign.original import refusals


def folded(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Fold constants and batch norms by onnxruntime's "basic" optimisations: standard operators only.

    Raises CheckpointError naming `path` if onnxruntime refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4  # errors are raised
    with tempfile.TemporaryDirectory(prefix="edgec-onnx-") as scratch:
        before, after = Path(scratch) / "before.onnx", Path(scratch) / "after.onnx"
        onnx.save(model, before)
        options.optimized_model_filepath = str(after)
        with refusals(path):
            onnxruntime.InferenceSession(str(before), options, providers=["CPUExecutionProvider"])
        found = onnx.load(after)
    kept = [opset for opset in found.opset_import if opset.domain in ("", "ai.onnx")]
    del found.opset_import[:]
    found.opset_import.extend(kept)
    return shape_inference.infer_shapes(found, data_prop=True)


def write_reshapes_as_flatten(model: onnx.ModelProto) -> None:
    """Write a Reshape or Squeeze to [N, anything] as Flatten, whatever computed its shape."""
    graph = model.graph
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in [*graph.value_info, *graph.output, *graph.input]
        if value.type.tensor_type.HasField("shape")
    }
    for node in graph.node:
        shrinks = node.op_type == "Reshape" or (node.op_type == "Squeeze" and ranks.get(node.input[0]) == 4)
        if shrinks and ranks.get(node.output[0]) == 2:
            flat = helper.make_node("Flatten", [node.input[0]], list(node.output), node.name, axis=1)
            node.CopyFrom(flat)


def drop_unused(model: onnx.ModelProto) -> None:
    """Remove nodes and then initialisers whose results are not used."""
    read = {model.graph.output[0].name}
    kept = []
    for node in reversed(model.graph.node):  # in their order, so what reads a node comes behind it
        if read.intersection(node.output):
            kept.append(node)
            read.update(read_by(node))
    if len(kept) < len(model.graph.node):
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
        del model.graph.node[:]
        model.graph.node.extend(copies)
    drop_unused_initializers(model)
