"""Names that are there, that are different, and that are not edgec's own."""

from collections.abc import Callable

import onnx

OURS = ("image", "logits")
"""What edgec calls its input, its output, and, with an underscore and a word behind, tensors in between."""
THEIRS = "their_"


def free_our_names(model: onnx.ModelProto) -> None:
    """Rename tensors and nodes that are called as edgec calls its own."""
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    taken |= {value.name for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]}
    if any(_is_ours(name) for name in taken):
        _rename(model.graph, our_free_name)
    for node in model.graph.node:
        node.name = our_free_name(node.name)


def our_free_name(name: str) -> str:
    """Return the name that `free_our_names` leaves a tensor or node. No two names become one."""
    return f"{THEIRS}{name}" if _is_ours(name) else name


def name_every_node(model: onnx.ModelProto) -> None:
    """Give each node a name of its own: kept where it is the only one, else the operator's and a number."""
    taken: set[str] = set()
    for node in model.graph.node:
        node.name = _unused(node.name or node.op_type, taken)
        taken.add(node.name)


def _is_ours(name: str) -> bool:
    """Whether it is one of ours, or one of theirs that reads as if it had been renamed already."""
    return name in OURS or name.startswith(THEIRS) or name.startswith(tuple(f"{ours}_" for ours in OURS))


def _unused(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _rename(graph: onnx.GraphProto, new: Callable[[str], str]) -> None:
    """Rename in a graph and in the graphs inside it, which read tensors from outside by name."""
    for node in graph.node:
        node.input[:] = [new(name) for name in node.input]
        node.output[:] = [new(name) for name in node.output]
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                _rename(inner, new)
    for value in [*graph.input, *graph.output, *graph.initializer, *graph.value_info]:
        value.name = new(value.name)
