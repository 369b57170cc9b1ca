"""Rewrites any ONNX file into the form that every later stage reads.

That form: opset 17, input `image` uint8 [N, H, W, C], Cast, Transpose, Sub, Mul, then the network with batch
norms folded into convolutions, output `logits` float32 [N, classes]; of pixels, [N, classes, height, width].
"""

from collections.abc import Callable

import onnx

from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.models.foreign.first_convolution import begin_with_a_convolution
from pipeline.models.foreign.logits_output import drop_ending, end_with_logits, take_output
from pipeline.models.foreign.normal_form.batch_at_the_end import keep_the_batch_at_the_end
from pipeline.models.foreign.normal_form.channels_last import write_channels_second
from pipeline.models.foreign.normal_form.constant_planes import take_out_constant_planes
from pipeline.models.foreign.normal_form.decided_branches import refuse_open_branches, write_decided_branches
from pipeline.models.foreign.normal_form.explicit_padding import write_padding_down
from pipeline.models.foreign.normal_form.flattened_maps import write_flattening_in_order
from pipeline.models.foreign.normal_form.free_batch import fixed_batch, free_the_batch
from pipeline.models.foreign.normal_form.known_shapes import (
    fix_the_size,
    write_computed_shapes,
    write_what_the_size_decides,
)
from pipeline.models.foreign.normal_form.merged_padding import merge_padding, write_averages_over_padding
from pipeline.models.foreign.normal_form.norms_of_rows import fold_norms_of_rows
from pipeline.models.foreign.normal_form.one_dimension import refuse_volumes, write_in_two_dimensions
from pipeline.models.foreign.normal_form.pooling import keep_the_reduced_channels, write_means_as_pooling
from pipeline.models.foreign.normal_form.powers import write_powers_as_products
from pipeline.models.foreign.normal_form.products_of_rows import write_products_of_rows
from pipeline.models.foreign.normal_form.read_normal import in_normal_form
from pipeline.models.foreign.normal_form.sums_of_neighbours import write_local_response
from pipeline.models.foreign.normal_form.transposed import write_transposed_as_convolutions
from pipeline.models.foreign.normal_form.unique_names import name_every_node
from pipeline.models.foreign.normal_form.vectors_of_channels import keep_vectors_upright
from pipeline.models.foreign.normalisation import begin_with_pixels, take_normalisation
from pipeline.models.foreign.onnx_file import Input, image_input, read_onnx
from pipeline.models.foreign.original import refusals
from pipeline.models.foreign.quantised.float_weights import write_weights_in_float
from pipeline.models.foreign.rehearsal import rehearse
from pipeline.models.foreign.simplify import drop_unused, folded, write_reshapes_as_flatten


def adopt(source: ForeignModel, dynamic_batch: bool, say: Callable[[str], None]) -> onnx.ModelProto:
    """Return the model in the form described above; `say` is called with other changes.

    Raises CheckpointError for a graph that cannot be rewritten.
    """
    model = read_onnx(source.path)
    found = image_input(model, source.path)
    if found.pixels_less:
        say(f"import: the input is {found}: it gets pixels less {found.pixels_less}")
    rehearse(model, source, dynamic_batch, quantised=False)
    model = in_normal_form(model, source.path)
    write_weights_in_float(model)
    refuse_volumes(model, source.path)
    _check_shape(source, found)
    take_output(model, source)
    keep_the_batch_at_the_end(model)
    fix_the_size(model, source.layout, source.input_shape)
    if fixed_batch(model) is not None:
        model = folded(model, source.path, fuse=False)  # shapes computed from the batch size become constants
    with refusals(source.path):
        free_the_batch(model)
    model = folded(model, source.path)
    with refusals(source.path):
        write_what_the_size_decides(model)
        write_decided_branches(model)
        write_computed_shapes(model)
        drop_unused(model)  # such as shapes that nothing computes with any more
        write_local_response(model)
        write_channels_second(model)
        keep_vectors_upright(model)
        write_in_two_dimensions(model)
        take_out_constant_planes(model)
        write_padding_down(model)
        write_averages_over_padding(model)
    refuse_open_branches(model, source.path)
    drop_ending(model, say)
    write_powers_as_products(model)
    keep_the_reduced_channels(model)
    write_means_as_pooling(model)
    with refusals(source.path):
        write_reshapes_as_flatten(model)
        write_flattening_in_order(model)
    fold_norms_of_rows(model)
    write_products_of_rows(model)
    write_transposed_as_convolutions(model)
    drop_unused(model)
    start = begin_with_a_convolution(model.graph, take_normalisation(model, source, found), say)
    begin_with_pixels(model, source, start, dynamic_batch)
    merge_padding(model)
    end_with_logits(model, source, say)
    name_every_node(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _check_shape(source: ForeignModel, found: Input) -> None:
    height, width, channels = source.input_shape
    sides = found.sides(source.layout)
    if any(
        in_graph not in (None, described)
        for in_graph, described in zip(sides, source.input_shape, strict=True)
    ):
        raise CheckpointError(
            f"{source.path}: its input {found.name!r} is {found}; {description_file(source.path)} says"
            f" {source.layout} with height {height}, width {width} and {channels} channels."
        )
