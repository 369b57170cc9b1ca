"""Simplifies a graph: folds constants and batch norms, and removes unused nodes."""

import tempfile
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import onnx
from onnx import helper, shape_inference

from calibration.onnx_graph import drop_unused_initializers
from pipeline.models.foreign.normal_form.known_shapes import Shapes, read_by, shapes
from pipeline.models.foreign.original import refusals
from targets.runtime.exact.session import is_from_onnxruntime


def folded(model: onnx.ModelProto, path: Path, fuse: bool = True) -> onnx.ModelProto:
    """Fold constants and batch norms by onnxruntime's "basic" optimisations: standard operators only.

    fuse: also write MatMul and Add as Gemm. Where all sizes are known, onnxruntime reshapes other tensors
    than matrices for that, to a fixed number of images.
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
            onnxruntime.InferenceSession(
                str(before),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=[] if fuse else ["MatMulAddFusion"],
            )
        found = onnx.load(after)
    kept = [opset for opset in found.opset_import if opset.domain in ("", "ai.onnx")]
    del found.opset_import[:]
    found.opset_import.extend(kept)
    return shape_inference.infer_shapes(found, data_prop=True)


def write_reshapes_as_flatten(model: onnx.ModelProto) -> None:
    """Write a Reshape or Squeeze to [N, anything] as Flatten, whatever computed its shape.

    One to [L * N, anything], where a graph has images as the second dimension, stays.
    Raises onnxruntime's exceptions for a model that it refuses.
    """
    graph = model.graph
    known = {
        value.name: [
            dim.dim_value if dim.HasField("dim_value") else 0 for dim in value.type.tensor_type.shape.dim
        ]
        for value in [*graph.value_info, *graph.output, *graph.input]
        if value.type.tensor_type.HasField("shape")
    }
    found = [
        node
        for node in graph.node
        if (
            node.op_type == "Reshape"
            or (node.op_type == "Squeeze" and len(known.get(node.input[0], ())) == 4)
        )
        and len(known.get(node.output[0], ())) == 2
    ]
    open_ones = [node for node in found if _keeps_images(known, node) is None]
    names = [name for node in open_ones for name in (node.input[0], node.output[0])]
    known |= {name: list(size) for name, size in _of_two_images(model, names).items()}
    for node in found:
        if _keeps_images(known, node):
            flat = helper.make_node("Flatten", [node.input[0]], list(node.output), node.name, axis=1)
            node.CopyFrom(flat)


def _keeps_images(known: Mapping[str, Sequence[int]], node: onnx.NodeProto) -> bool | None:
    """Whether the first dimension stays; None if the sizes, with 0 for what is not known, do not say."""
    before, after = known.get(node.input[0], ()), known[node.output[0]]
    if not before:
        return None
    if 0 not in before[1:] and after[1]:
        return prod(before[1:]) == after[1]
    return before[0] == after[0] if before[0] and after[0] else None


def _of_two_images(model: onnx.ModelProto, names: list[str]) -> Shapes:
    """Return shapes for two images, or for one where the graph does not take two."""
    try:
        return shapes(model, names, 2)
    except Exception as error:
        if not is_from_onnxruntime(error):
            raise
        return shapes(model, names, 1)


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
