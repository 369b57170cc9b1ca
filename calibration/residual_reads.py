"""Which residual additions read 16 bits."""

from collections.abc import Iterable, Mapping

from calibration.errors import ModelError
from calibration.onnx_graph import Edge, OnnxGraph
from calibration.pointwise import Elementwise
from calibration.scheme import RecipeBase, Scheme
from calibration.written_wide import check_opset, is_written_wide


def wide_reads(
    graph: OnnxGraph,
    identities: Iterable[Edge],
    sources: Mapping[str, str],
    functions: Elementwise,
    scheme: Scheme,
) -> tuple[Edge, ...]:
    """Return those of `identities`, the inputs of residual additions, that can read 16 bits.

    Moved values, whose range in `sources` is another tensor's, keep its 8 bits. So does a network that has no
    form with 16-bit integers.
    """
    found = []
    for edge in identities:
        tensor = graph.nodes[edge.node].input[edge.slot]
        if sources[tensor] == tensor and (scheme is Scheme.SYM or is_written_wide(graph, functions, tensor)):
            found.append(edge)
    return () if found and scheme is Scheme.ASYM and _obstacle(graph) else tuple(found)


def unread_residuals(graph: OnnxGraph, recipe: RecipeBase) -> list[str]:
    """Return a note if a recipe's residual additions have to read 8 bits."""
    why = _obstacle(graph) if recipe.wide_residuals and recipe.scheme is Scheme.ASYM else ""
    return [f"res: {why}"] if why else []


def _obstacle(graph: OnnxGraph) -> str:
    """Why a graph cannot be written with 16-bit integers; empty if it can."""
    try:
        check_opset(graph)
    except ModelError as error:
        return str(error)
    return ""
