"""Reads a network that another tool quantised into the form that every target compiles."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import shape_inference

from calibration.grid import ActivationGrid
from calibration.onnx_graph import QDQ, OnnxGraph
from calibration.scheme import Scheme
from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.models.foreign.ending import FUNCTIONS, Ending, ending
from pipeline.models.foreign.logits_output import drop_ending, end_with_logits, take_output
from pipeline.models.foreign.normal_form.batch_at_the_end import keep_the_batch_at_the_end
from pipeline.models.foreign.normal_form.conventions import write_constants_as_weights
from pipeline.models.foreign.normal_form.decided_branches import refuse_open_branches, write_decided_branches
from pipeline.models.foreign.normal_form.explicit_padding import write_padding_down
from pipeline.models.foreign.normal_form.free_batch import free_the_batch
from pipeline.models.foreign.normal_form.known_shapes import (
    fix_the_size,
    write_computed_shapes,
    write_what_the_size_decides,
)
from pipeline.models.foreign.normal_form.merged_padding import write_averages_over_padding
from pipeline.models.foreign.normal_form.pooling import write_means_as_pooling
from pipeline.models.foreign.normal_form.read_normal import read_normal
from pipeline.models.foreign.normal_form.unique_names import name_every_node
from pipeline.models.foreign.onnx_file import Input, read_input, read_onnx
from pipeline.models.foreign.original import refusals
from pipeline.models.foreign.quantised.canonical_qdq import CanonicalGraph, canonical
from pipeline.models.foreign.quantised.channel_grids import write_one_scale
from pipeline.models.foreign.quantised.earlier_rounding import round_earlier
from pipeline.models.foreign.quantised.quantised_front import begin_with_pixels_as_described
from pipeline.models.foreign.quantised.unrounded import write_unrounded
from pipeline.models.foreign.quantised.weighted_layer import WeightedLayer
from pipeline.models.foreign.quantised.write_canonical import Written, write_quantised
from pipeline.models.foreign.rehearsal import rehearse
from pipeline.models.foreign.simplify import drop_unused, write_reshapes_as_flatten


@dataclass(frozen=True)
class QuantisedNetwork:
    """A network that was read.

    ending: the functions that the file applies to the logits. probabilities: the grid to which it rounds
    their result. integers: the grid of its output, where that is integers.
    """

    graph: CanonicalGraph
    ending: Ending
    probabilities: ActivationGrid | None = None
    integers: ActivationGrid | None = None

    def ended(self, logits: NDArray[np.float32], outputs: int) -> NDArray[np.float32]:
        """Return what the file gives, flat, for the logits of one image; `outputs`: how many values."""
        values = self.ending(logits, outputs).astype(np.float32)
        if self.integers is not None:
            return np.asarray(self.integers.quantize(values), np.float32)
        grid = self.probabilities
        return values if grid is None else grid.dequantize(grid.quantize(values))

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers in 8 bits."""
        return tuple(item.node.name for item in self.graph.items if isinstance(item, WeightedLayer))

    def quantised(self, scheme: Scheme, lowest_weight: int = -128) -> Written:
        """Write it as the targets of a scheme compile it; see `write_quantised`."""
        written = write_quantised(self.graph, scheme, lowest_weight)
        return replace(written, model=_checked(written.model))

    def unrounded(self) -> onnx.ModelProto:
        """Write it without its roundings; see `unrounded`."""
        return _checked(write_unrounded(self.graph))


def read_quantised(source: ForeignModel, dynamic_batch: bool, say: Callable[[str], None]) -> QuantisedNetwork:
    """Read a network; `say` is called with the changes.

    Raises CheckpointError naming the node that cannot be compiled as it is.
    """
    found = read_input(source.path)
    source = _laid_out(source, found)
    rehearse(read_onnx(source.path), source, dynamic_batch, quantised=True)
    model = read_normal(source.path)
    take_output(model, source)
    keep_the_batch_at_the_end(model)
    integers = _integers_at_the_end(model, source)
    fix_the_size(model, source.layout, source.input_shape)
    with refusals(source.path):
        free_the_batch(model)
        write_what_the_size_decides(model, whole_numbers=True)
        write_decided_branches(model)
        write_constants_as_weights(model)  # those of branches
        write_computed_shapes(model)
        write_padding_down(model)
        write_averages_over_padding(model)
    refuse_open_branches(model, source.path)
    probabilities = _drop_rounding_of_functions(model)
    last = ending(model, model.graph.output[0].name)
    drop_ending(model, say)
    write_means_as_pooling(model)
    model = shape_inference.infer_shapes(model, data_prop=True)
    write_reshapes_as_flatten(model)
    drop_unused(model)
    begin_with_pixels_as_described(model, source, found, dynamic_batch)
    end_with_logits(model, source, say)
    write_one_scale(model)
    round_earlier(model)
    name_every_node(model)
    return QuantisedNetwork(canonical(model), last, probabilities, integers)


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


def _integers_at_the_end(model: onnx.ModelProto, source: ForeignModel) -> ActivationGrid | None:
    """Return the grid of the last DequantizeLinear, if the file gives the integers that it reads."""
    given = onnx.load(source.path, load_external_data=False).graph.output
    kinds = {value.name: value.type.tensor_type.elem_type for value in given}
    kind = kinds.get(source.output or given[0].name)
    last = next((node for node in model.graph.node if model.graph.output[0].name in node.output), None)
    whole = kind in (onnx.TensorProto.UINT8, onnx.TensorProto.INT8)
    return _grid_of(model, last) if whole and last is not None and last.op_type in QDQ else None


def _grid_of(model: onnx.ModelProto, rounding: onnx.NodeProto) -> ActivationGrid | None:
    graph = OnnxGraph(model)
    scale, zero = (graph.constant(name) for name in rounding.input[1:3])
    return None if scale is None or zero is None else ActivationGrid(scale.ravel()[0], zero.ravel()[0])


def _drop_rounding_of_functions(model: onnx.ModelProto) -> ActivationGrid | None:
    """Take off the Q/DQ behind a last function over classes, and return its grid."""
    output = model.graph.output[0]
    producers = {name: node for node in model.graph.node for name in node.output}
    tensor, rounding = output.name, None
    while (node := producers.get(tensor)) is not None and node.op_type in QDQ:
        tensor, rounding = node.input[0], node
    if rounding is None or node is None or node.op_type not in FUNCTIONS:
        return None
    output.name = tensor
    return _grid_of(model, rounding)


def _checked(model: onnx.ModelProto) -> onnx.ModelProto:
    drop_unused(model)
    name_every_node(model)
    onnx.checker.check_model(model, full_check=True)
    return model
