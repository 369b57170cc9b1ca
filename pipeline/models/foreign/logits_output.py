"""The output of a foreign graph, made into the `logits` that every later stage reads."""

from collections.abc import Callable

import onnx
from onnx import TensorProto, helper, shape_inference

from calibration.onnx_graph import attribute
from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.task import Task


def drop_softmax(model: onnx.ModelProto, say: Callable[[str], None]) -> None:
    """Take off a last Softmax: it changes no order, and logits say more. `say` hears of it."""
    output = model.graph.output[0]
    last = next((node for node in model.graph.node if output.name in node.output), None)
    if last is not None and last.op_type in ("Softmax", "LogSoftmax") and _over_classes(last, output):
        say(f"import: the last {last.op_type} is left out; it does not change which class is first")
        model.graph.node.remove(last)
        output.name = last.input[0]


def _over_classes(softmax: onnx.NodeProto, output: onnx.ValueInfoProto) -> bool:
    """Whether it is over the second dimension; its axis is the last one if it does not say."""
    return attribute(softmax, "axis", -1) in (1, 1 - len(output.type.tensor_type.shape.dim))


def end_with_logits(model: onnx.ModelProto, source: ForeignModel) -> None:
    """Name the output `logits`. Raises CheckpointError unless it has the shape that the task asks for."""
    output = model.graph.output[0]
    old = output.name
    for node in model.graph.node:
        node.output[:] = ["logits" if name == old else name for name in node.output]
        node.input[:] = ["logits" if name == old else name for name in node.input]
    output.name = "logits"
    output.type.tensor_type.ClearField("shape")
    shape = shape_inference.infer_shapes(model, data_prop=True).graph.output[0].type.tensor_type.shape.dim
    sides = [d.dim_value or "N" for d in shape]
    _check_logits(sides, source)
    output.CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, sides))


def _check_logits(sides: list[int | str], source: ForeignModel) -> None:
    wanted = 4 if source.task is Task.SEGMENT else 2
    if len(sides) == wanted and "N" not in sides[1:] and not (wanted == 4 and sides[1] == 1):
        return
    advice = {
        4: f'That is a value for each pixel: say task = "segment" in {description_file(source.path)}.',
        3: "If it ends in ArgMax, export it without.",
        2: f'That is of whole images: leave task = "segment" out of {description_file(source.path)}.',
    }
    if wanted == len(sides) == 4:
        why = "Segmentation needs two classes or more, and a size that follows from the input's."
    else:
        why = advice.get(len(sides), "")
    raise CheckpointError(
        f"{source.path} gives {sides}, which is no"
        f" [N, classes{', height, width' if wanted == 4 else ''}]. {why}".rstrip()
    )
