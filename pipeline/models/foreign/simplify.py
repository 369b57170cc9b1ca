"""The same network in fewer operators: one opset, constants and batch norms folded, nothing unused."""

import tempfile
from pathlib import Path

import onnx
from onnx import helper, shape_inference, version_converter

from calibration.onnx_graph import drop_unused_initializers
from pipeline.errors import CheckpointError
from pipeline.models.foreign.original import refusals
from pipeline.models.opset import OPSET


def at_opset(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Return the model in opset 17. Raises CheckpointError for operators that ONNX, or that opset, lacks."""
    (version,) = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")] or [0]
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign:
        raise CheckpointError(
            f"{path} has operators of {', '.join(foreign)}. Export with standard operators only."
        )
    if version == OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except (RuntimeError, onnx.checker.ValidationError) as error:
        raise CheckpointError(
            f"{path} is in opset {version} and cannot be rewritten in opset {OPSET}"
            f" ({str(error).splitlines()[0]}). Export it with opset {OPSET}."
        ) from error


def free_the_batch(model: onnx.ModelProto, name: str) -> None:
    """Let the first dimension of input `name` and of outputs be any; forget shapes that said otherwise."""
    for value in [*model.graph.input, *model.graph.output]:
        if (value.name == name or value in model.graph.output) and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]


def folded(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Let onnxruntime fold constants and batch norms; "basic" is what any runtime understands.

    Raises CheckpointError naming `path` if onnxruntime refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
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
    """Write a Reshape to [N, anything] as Flatten, whatever computed its shape."""
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in [*model.graph.value_info, *model.graph.output]
        if value.type.tensor_type.HasField("shape")
    }
    for node in model.graph.node:
        if node.op_type == "Reshape" and ranks.get(node.output[0]) == 2:
            flat = helper.make_node("Flatten", [node.input[0]], list(node.output), node.name, axis=1)
            node.CopyFrom(flat)


def drop_unused(model: onnx.ModelProto) -> None:
    """Take out the nodes whose results nothing reads, then the initialisers."""
    while unused := [
        node
        for node in model.graph.node
        if not any(
            name in other.input for name in node.output for other in model.graph.node if other is not node
        )
        and model.graph.output[0].name not in node.output
    ]:
        for node in unused:
            model.graph.node.remove(node)
    drop_unused_initializers(model)
