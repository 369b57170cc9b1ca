"""Checks a Q/DQ graph that was made by another tool or by quantisation-aware training."""

from pathlib import Path

from calibration.errors import LintError, ModelError
from calibration.lint import lint_graph
from calibration.onnx_graph import OnnxGraph
from calibration.recipe import QuantRecipe, Scheme


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
    said = {p.key: p.value for p in graph.model.metadata_props}.get("edgec.recipe")
    recipe = QuantRecipe.parse(said) if said else QuantRecipe(default)
    findings = lint_graph(graph, recipe.scheme, in_float)
    if findings:
        broken = "\n".join(map(str, findings))
        raise LintError(f"{model} breaks rules of placement under {recipe.scheme}:\n{broken}")
    return recipe


def _quantized(graph: OnnxGraph, tensor: str) -> bool:
    producer = graph.producer(tensor)
    return producer is not None and producer.op_type == "DequantizeLinear"


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(size or "any") for size in shape)
