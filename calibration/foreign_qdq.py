"""Checks a Q/DQ graph that was made by another tool or by quantisation-aware training."""

from collections.abc import Collection, Sequence
from pathlib import Path

import onnx

from calibration.errors import LintError, ModelError
from calibration.lint import LintFinding, lint_graph
from calibration.onnx_graph import IMAGE, OnnxGraph
from calibration.recipe import QuantRecipe, Scheme

RECIPE = "edgec.recipe"
"""The metadata with the recipe that a graph was quantised by."""


def is_ours(model: onnx.ModelProto) -> bool:
    """Whether a graph says that edgec quantised it: by its recipe, and by its input."""
    named = any(p.key == RECIPE for p in model.metadata_props)
    return named and [value.name for value in model.graph.input] == [IMAGE]


def check_brought(
    model: Path, default: Scheme, image_shape: tuple[int, int, int], classes: int
) -> QuantRecipe:
    """Return the recipe in the metadata of the Q/DQ ONNX `model`, or a recipe with only its scheme.

    A graph without metadata is taken to have the scheme `default`. Layers without any Q/DQ may stay in float.
    Raises ModelError if it is not a quantised model for images of `image_shape` [H, W, C] and so many
    `classes`, LintError if it breaks a rule of `lint`, and RecipeError if its recipe cannot be parsed.
    """
    graph = OnnxGraph.load(model)
    shape = tuple(dim.dim_value for dim in graph.image().type.tensor_type.shape.dim)[1:]
    if any(found not in (0, wanted) for found, wanted in zip(shape, image_shape, strict=True)):
        raise ModelError(f"{model} takes images {_by(shape)}; the model's are {_by(image_shape)}.")
    (*_, last) = [dim.dim_value for dim in graph.model.graph.output[0].type.tensor_type.shape.dim] or [0]
    if last not in (0, classes):
        raise ModelError(f"{model} has {last} classes; the data set has {classes}.")
    layers = [node for node in graph.nodes if node.op_type in ("Conv", "Gemm")]
    in_float = [node.name for node in layers if not _quantized(graph, node.input[1])]
    if len(in_float) == len(layers):
        raise ModelError(
            f"{model} has no layer with int8 weights behind a DequantizeLinear. Quantise it first."
        )
    recorded = {p.key: p.value for p in graph.model.metadata_props}.get(RECIPE)
    recipe = QuantRecipe.parse(recorded) if recorded else QuantRecipe(default)
    findings = lint_graph(graph, recipe.scheme, in_float)
    if findings:
        broken = "\n".join(map(str, findings))
        raise LintError(f"{model} breaks rules of placement under {recipe.scheme}:\n{broken}")
    return recipe


def check_written_anew(
    model: onnx.ModelProto, name: str, scheme: Scheme, in_float: Collection[str]
) -> tuple[LintFinding, ...]:
    """Check a foreign graph that was rewritten for `scheme`; return broken rules that only cost time.

    `name` is the file that it came from. Raises LintError for what the scheme's targets cannot compute.
    """
    findings = lint_graph(OnnxGraph(model), scheme, in_float)
    broken = [finding for finding in findings if not finding.costs_time]
    if broken:
        by_rule: dict[str, list[LintFinding]] = {}
        for finding in broken:
            by_rule.setdefault(finding.why, []).append(finding)
        lines = "\n".join(_first_of(found) for found in by_rule.values())
        advice = ADVICE[scheme]
        raise LintError(f"{name} cannot be compiled as it is under {scheme}:\n{lines}\n{advice}")
    return tuple(findings)


def _first_of(found: Sequence[LintFinding]) -> str:
    """Say what broke a rule first, and how many nodes did."""
    first, others = found[0], len(found) - 1
    more = f" ({others} more nodes do that)" if others else ""
    return f"{first.node}: {first.what}. {first.why}{more}"


ADVICE = {
    Scheme.SYM: "Quantise it symmetrically (onnxruntime: activation_type=QInt8, ActivationSymmetric=True),"
    " build for a target that takes zero points (host, arm, reference), or give edgec the float network.",
    Scheme.ASYM: "Give edgec the float network: it quantises by itself.",
}


def _quantized(graph: OnnxGraph, tensor: str) -> bool:
    producer = graph.producer(tensor)
    return producer is not None and producer.op_type == "DequantizeLinear"


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(size or "any") for size in shape)
