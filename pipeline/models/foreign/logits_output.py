"""Turns the output of a foreign graph into the `logits` that every later stage reads."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from calibration.onnx_graph import attribute
from pipeline.errors import CheckpointError
from pipeline.models.foreign.chosen_output import is_computed, keep_output, output_names
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.models.foreign.ending import MAPS, SHAPES_ONLY, last_functions, turn_to_the_end
from pipeline.models.foreign.normal_form.known_shapes import shapes
from pipeline.models.foreign.normal_form.unique_names import our_free_name, their_name
from pipeline.models.foreign.replaced_nodes import replace_nodes
from pipeline.task import Task

SCORES_LOST = frozenset({"ArgMax", "ArgMin", "TopK", "Hardmax"})
"""Operators whose output does not hold one score for each class, in the order of the classes."""


def take_output(model: onnx.ModelProto, source: ForeignModel) -> None:
    """Keep one output: the described one, or the only one. Raises CheckpointError if that is not clear."""
    outputs = output_names(model)
    wanted = our_free_name(source.output) if source.output else None
    if wanted is None and len(outputs) == 1:
        wanted = outputs[0]
    if not outputs:
        raise CheckpointError(f"{source.path} has no output. Export it again, with its scores as one.")
    if wanted is None or not (wanted in outputs or is_computed(model, wanted)):
        given = f"{source.output!r} is not one of them" if source.output else "edgec compiles one"
        raise CheckpointError(
            f"{source.path} has the outputs {', '.join(outputs)}; {given}. Name the one with the logits in"
            f" {description_file(source.path)}: output = {outputs[0]!r}."
        )
    keep_output(model, wanted)


def drop_ending(model: onnx.ModelProto, say: Callable[[str], None]) -> None:
    """Remove functions after the logits, such as Softmax, and report that: the order of classes is kept."""
    functions = list(last_functions(model, model.graph.output[0].name))
    for node in functions:
        say(f"import: the last {node.op_type} is left out; it does not change the order of classes")
    _leave_out(model, functions)
    turn = turn_to_the_end(model, model.graph.output[0].name)
    if turn is not None:
        say("import: the last Transpose is left out; classes are the second dimension, not the last")
        _leave_out(model, [turn])


def _leave_out(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Take nodes out, which are given from the last to the first: who read them reads what they read."""
    before: dict[str, str] = {}
    for node in reversed(nodes):
        before[node.output[0]] = before.get(node.input[0], node.input[0])
    replace_nodes(model.graph, dict.fromkeys(before, ()))
    for reader in model.graph.node:
        if not before.keys().isdisjoint(reader.input):
            reader.input[:] = [before.get(name, name) for name in reader.input]
    output = model.graph.output[0]
    output.name = before.get(output.name, output.name)


def end_with_logits(model: onnx.ModelProto, source: ForeignModel, say: Callable[[str], None]) -> None:
    """Name the output `logits`. Raises CheckpointError if its shape does not fit the task."""
    _check_numbers(model, source)
    sides = _sides(model)
    one_each = len(sides) == 1 and shapes(model, [model.graph.output[0].name], images=2).popitem()[1] == (2,)
    if source.task is Task.CLASSIFY and (one_each or (len(sides) > 2 and _is_one_vector(sides))):
        _append(model, "Flatten", axis=1)
        sides = _sides(model)
    if source.task is Task.CLASSIFY and sides[1:] == [1]:
        say("import: one output for two classes; it is the second class's, the first one's is its opposite")
        _write_one_as_two(model)
        sides = _sides(model)
    _check_logits(sides, source)
    _rename_output(model)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, sides))


def _is_one_vector(sides: list[int | str]) -> bool:
    """Whether an image has numbers along one dimension only, such as [N, K, 1, 1] or [N, 1, K]."""
    return "N" not in sides[1:] and sum(side != 1 for side in sides[1:]) <= 1


def _check_numbers(model: onnx.ModelProto, source: ForeignModel) -> None:
    """Leave out a last Cast to float64; raise CheckpointError where no class has a score of its own."""
    producers = {name: node for node in model.graph.node for name in node.output}
    last, casts = producers.get(model.graph.output[0].name), []
    while last is not None and last.op_type == "Cast" and attribute(last, "to") == TensorProto.DOUBLE:
        casts.append(last)
        last = producers.get(last.input[0])
    _leave_out(model, casts)
    named = last
    while last is not None and last.op_type in SHAPES_ONLY:
        last = producers.get(last.input[0])
    lost = last is not None and last.op_type in SCORES_LOST
    output = model.graph.output[0].type.tensor_type
    output.ClearField("elem_type")
    kind = _inferred(model).elem_type
    output.elem_type = TensorProto.FLOAT
    behind = last if lost else named
    if behind is None:
        raise CheckpointError(
            f"{source.path}: its output does not follow from the image. Name the tensor with the logits in"
            f" {description_file(source.path)}: output = ..."
        )
    if lost or kind != TensorProto.FLOAT:
        raise CheckpointError(
            f"{source.path} ends in {TensorProto.DataType.Name(kind).lower()} of {behind.op_type}; wanted is"
            f" a float for every class, in the order of the classes. {_in_front(behind, source)}"
        )


def _in_front(node: onnx.NodeProto, source: ForeignModel) -> str:
    """Say how to have the scores in front of a node instead of its result."""
    scores = their_name(node.input[0])
    if is_computed(onnx.load(source.path, load_external_data=False), scores):
        return f"Name what is in front of that in {description_file(source.path)}: output = {scores!r}."
    return "Export the network without what stands behind its scores."


def _inferred(model: onnx.ModelProto) -> onnx.TypeProto.Tensor:
    """The type of the output as it follows from the nodes."""
    model.graph.output[0].type.tensor_type.ClearField("shape")
    found: onnx.TypeProto = shape_inference.infer_shapes(model, data_prop=True).graph.output[0].type
    return found.tensor_type


def _sides(model: onnx.ModelProto) -> list[int | str]:
    return [d.dim_value or "N" for d in _inferred(model).shape.dim]


def _append(
    model: onnx.ModelProto, operator: str, others: tuple[str, ...] = (), axis: int | None = None
) -> None:
    """Append a node to the output; its result becomes the output."""
    output = model.graph.output[0]
    name = f"{output.name}/{operator}"
    model.graph.node.append(helper.make_node(operator, [output.name, *others], [name], name, axis=axis))
    output.name = name


def _write_one_as_two(model: onnx.ModelProto) -> None:
    """Write the output z as -z/2 and z/2, whose softmax is z's sigmoid. A final Gemm absorbs the factors."""
    halves = np.array([[-0.5], [0.5]], np.float32)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    name = model.graph.output[0].name
    last = next(node for node in model.graph.node if name in node.output)
    if last.op_type == "Gemm" and all(given in constants for given in last.input[1:]):
        values = [numpy_helper.to_array(constants[given]) for given in last.input[1:]]
        across = any(a.name == "transB" and a.i for a in last.attribute)
        weights = halves @ values[0] if across else values[0] @ halves.T
        new = [weights, *(halves.ravel() * value.reshape(-1) for value in values[1:])]
        for slot, value in enumerate(new, start=1):
            tensor = numpy_helper.from_array(np.ascontiguousarray(value), f"{last.input[slot]}/two_classes")
            model.graph.initializer.append(tensor)
            last.input[slot] = tensor.name
    else:
        model.graph.initializer.append(numpy_helper.from_array(halves.T.copy(), f"{name}/two_classes"))
        _append(model, "MatMul", (f"{name}/two_classes",))


def _rename_output(model: onnx.ModelProto) -> None:
    old = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["logits" if name == old else name for name in node.output]
        node.input[:] = ["logits" if name == old else name for name in node.input]


def _check_logits(sides: list[int | str], source: ForeignModel) -> None:
    wanted = MAPS if source.task is Task.SEGMENT else 2
    if len(sides) == wanted and "N" not in sides[1:] and not (wanted == MAPS and _is_no_map(sides)):
        return
    file = description_file(source.path)
    if wanted == len(sides) == MAPS:
        why = "Segmentation needs two classes or more, and maps whose size follows from the input's."
        if sides[2:] == [1, 1]:
            why = f'That is of whole images: leave task = "segment" out of {file}.'
    elif len(sides) == MAPS:
        why = f'That is a value for each pixel: say task = "segment" in {file}.'
    elif wanted == MAPS:
        why = f'That is of whole images: leave task = "segment" out of {file}.'
    else:
        why = "Export it so that its second dimension is the classes, and the first the images."
    raise CheckpointError(
        f"{source.path} gives [{', '.join(map(str, sides))}]; wanted is"
        f" [N, classes{', height, width' if wanted == MAPS else ''}]. {why}"
    )


def _is_no_map(sides: list[int | str]) -> bool:
    return sides[1] == 1 or sides[2:] == [1, 1]
