"""Reads an ONNX file of any version into one form: opset 17, float32, weights not among inputs, Q/DQ."""

from functools import partial
from pathlib import Path

import onnx
from onnx import inliner, version_converter

from pipeline.errors import CheckpointError, listed
from pipeline.models.foreign.normal_form.contrib_operators import write_contrib_as_standard
from pipeline.models.foreign.normal_form.conventions import (
    take_weights_out_of_the_inputs,
    write_constants_as_weights,
    write_sparse_as_dense,
)
from pipeline.models.foreign.normal_form.early_operators import (
    set_early_operators_apart,
    write_early_operators,
)
from pipeline.models.foreign.normal_form.float_precision import write_in_float32
from pipeline.models.foreign.normal_form.foreign_domains import refuse_other_domains
from pipeline.models.foreign.normal_form.newer_operators import NotInOpset, write_in_opset_17
from pipeline.models.foreign.normal_form.random_answers import refuse_random_answers
from pipeline.models.foreign.normal_form.unique_names import free_our_names, name_every_node
from pipeline.models.foreign.onnx_file import read_onnx
from pipeline.models.foreign.quantised.integer_moves import write_moves_as_qdq
from pipeline.models.foreign.quantised.integer_operators import write_as_qdq
from pipeline.models.opset import OPSET

LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
RESIZE_SAYS_WHERE = 11
"""The first opset in which Resize says where pixels are."""
ASYMMETRIC = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def read_normal(path: Path) -> onnx.ModelProto:
    """Return the model at `path` in the form described above.

    Raises CheckpointError for a file that cannot be read, or has operators that this form lacks.
    """
    return in_normal_form(read_onnx(path), path)


def in_normal_form(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Rewrite a model that was read from `path` into the form described above; `model` is modified.

    Raises CheckpointError for operators that this form lacks.
    """
    take_weights_out_of_the_inputs(model)
    if model.functions:
        model = inliner.inline_local_functions(model, convert_version=True)
    write_constants_as_weights(model)
    write_sparse_as_dense(model)
    refuse_random_answers(model, path)
    _refuse_loops(model, path)
    write_in_float32(model)
    model = write_contrib_as_standard(model)
    write_as_qdq(model)
    write_moves_as_qdq(model)
    model = _at_opset(model, path)
    free_our_names(model)
    name_every_node(model)
    return model


def _refuse_loops(model: onnx.ModelProto, path: Path) -> None:
    for node in model.graph.node:
        if node.op_type in LOOPS and node.domain == "":
            raise CheckpointError(
                f"{path}: the {node.op_type} {node.name or node.output[0]!r} repeats a part of the network,"
                " which edgec does not compile. Export the network by tracing, which writes every step out."
            )


def _at_opset(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    refuse_other_domains(model, path)
    version = model.opset_import[0].version
    try:
        if version > OPSET:
            return write_in_opset_17(model)
        return model if version == OPSET else _converted_up(model, version)
    except NotInOpset as error:
        raise CheckpointError(
            f"{path} is in opset {version}: {error}, which edgec does not compile. Change that operator in"
            " the network, or export in an older opset if your exporter can."
        ) from error
    except (RuntimeError, onnx.checker.ValidationError) as error:
        known = partial(onnx.defs.has, max_inclusive_version=version)
        gone = sorted({node.op_type for node in model.graph.node if not known(node.op_type)})
        if gone:
            why = f"has the operator {listed(gone)}, which ONNX no longer has"
        else:
            why = f"cannot be brought to opset {OPSET} ({str(error).splitlines()[0]})"
        raise CheckpointError(
            f"{path} is in opset {version} and {why}. Export it in a newer opset."
        ) from error


def _converted_up(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """Let ONNX's converter write the model in opset 17, and say how resizing was meant.

    Until opset 10 a pixel was at its place times the scale, rounded down; the converter leaves that out, and
    the default of Resize is another.
    """
    early = set_early_operators_apart(model)
    made = version_converter.convert_version(model, OPSET)
    write_early_operators(made, early)
    for node in made.graph.node if version < RESIZE_SAYS_WHERE else ():
        if node.op_type == "Resize":
            kept = [one for one in node.attribute if one.name not in ASYMMETRIC]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.attribute.extend(onnx.helper.make_attribute(*one) for one in ASYMMETRIC.items())
    return made
