"""A network that somebody else has quantised, from its file to the form that every target compiles."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from onnx import shape_inference

from calibration.scheme import Scheme
from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.models.foreign.ending import FUNCTIONS, Ending, ending
from pipeline.models.foreign.logits_output import drop_ending, end_with_logits, take_output
from pipeline.models.foreign.normal_form.explicit_padding import write_padding_down
from pipeline.models.foreign.normal_form.free_batch import free_the_batch
from pipeline.models.foreign.normal_form.known_shapes import fix_the_size, write_computed_shapes
from pipeline.models.foreign.normal_form.pooling import write_means_as_pooling
from pipeline.models.foreign.normal_form.read_normal import read_normal
from pipeline.models.foreign.normal_form.unique_names import name_every_node
from pipeline.models.foreign.onnx_file import Input, read_input, read_onnx
from pipeline.models.foreign.original import refusals
from pipeline.models.foreign.quantised.canonical_qdq import CanonicalGraph, canonical
from pipeline.models.foreign.quantised.integer_operators import DYNAMIC
from pipeline.models.foreign.quantised.quantised_front import begin_with_pixels_as_described
from pipeline.models.foreign.quantised.unrounded import write_unrounded
from pipeline.models.foreign.quantised.weighted_layer import WeightedLayer
from pipeline.models.foreign.quantised.write_canonical import Written, write_quantised
from pipeline.models.foreign.simplify import drop_unused, write_reshapes_as_flatten


@dataclass(frozen=True)
class QuantisedNetwork:
    """What was read: `ending` is what the file does to the logits at its end."""

    graph: CanonicalGraph
    ending: Ending

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers in 8 bits."""
        return tuple(item.node.name for item in self.graph.items if isinstance(item, WeightedLayer))

    def quantised(self, scheme: Scheme) -> Written:
        """Write it as the targets of a scheme compile it."""
        written = write_quantised(self.graph, scheme)
        return replace(written, model=_checked(written.model))

    def unrounded(self) -> onnx.ModelProto:
        """Write it without its roundings; see `unrounded`."""
        return _checked(write_unrounded(self.graph))


def is_quantised_file(path: Path) -> bool:
    """Whether a file quantises activations. Raises CheckpointError if it cannot be read."""
    model = read_onnx(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    return any(
        node.op_type.startswith(("QLinear", "QGemm"))
        or node.op_type in DYNAMIC
        or (node.op_type == "QuantizeLinear" and node.input[0] not in constants)
        for node in model.graph.node
    )


def read_quantised(source: ForeignModel, dynamic_batch: bool, say: Callable[[str], None]) -> QuantisedNetwork:
    """Read a network; `say` hears what was changed.

    Raises CheckpointError naming the node that cannot be compiled as it is.
    """
    found = read_input(source.path)
    source = _laid_out(source, found)
    model = read_normal(source.path)
    take_output(model, source)
    fix_the_size(model, source.layout, source.input_shape)
    with refusals(source.path):
        free_the_batch(model)
        write_computed_shapes(model)
        write_padding_down(model)
    _drop_rounding_of_functions(model)
    last = ending(model, model.graph.output[0].name)
    drop_ending(model, say)
    write_means_as_pooling(model)
    model = shape_inference.infer_shapes(model, data_prop=True)
    write_reshapes_as_flatten(model)
    drop_unused(model)
    begin_with_pixels_as_described(model, source, found, dynamic_batch)
    end_with_logits(model, source, say)
    name_every_node(model)
    return QuantisedNetwork(canonical(model), last)


def _laid_out(source: ForeignModel, found: Input) -> ForeignModel:
    """Return the description in the layout that the input's shape has. Raises CheckpointError for no fit."""
    for layout in (source.layout, "NHWC" if source.layout == "NCHW" else "NCHW"):
        sides = found.sides(layout)
        if all(there in (None, said) for there, said in zip(sides, source.input_shape, strict=True)):
            return replace(source, layout=layout)
    height, width, channels = source.input_shape
    raise CheckpointError(
        f"{source.path}: its input {found.name!r} is {found}; images of {height} x {width} with {channels}"
        f" channels were to go in. Say size and channels in {description_file(source.path)}."
    )


def _drop_rounding_of_functions(model: onnx.ModelProto) -> None:
    """Take off the Q/DQ behind a last function over classes: it rounds probabilities, which are left out."""
    output = model.graph.output[0]
    producers = {name: node for node in model.graph.node for name in node.output}
    tensor = output.name
    while (node := producers.get(tensor)) is not None and node.op_type in (
        "QuantizeLinear",
        "DequantizeLinear",
    ):
        tensor = node.input[0]
    if node is not None and node.op_type in FUNCTIONS:
        output.name = tensor


def _checked(model: onnx.ModelProto) -> onnx.ModelProto:
    drop_unused(model)
    name_every_node(model)
    onnx.checker.check_model(model, full_check=True)
    return model
