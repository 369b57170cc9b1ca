"""Gives every node a unique name, and renames what has one of edgec's own names."""

from collections.abc import Callable

import onnx

OURS = ("image", "logits")
"""edgec's names of its input and output; with an underscore and a suffix, of tensors in between."""
THEIRS = "their_"


def free_our_names(model: onnx.ModelProto) -> None:
    """Rename tensors and nodes that have one of edgec's own names."""
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    taken |= {value.name for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]}
    if any(_is_ours(name) for name in taken):
        _rename(model.graph, our_free_name)
    for node in model.graph.node:
        node.name = our_free_name(node.name)


def our_free_name(name: str) -> str:
    """Return the name of a tensor or node after `free_our_names`. Different names stay different."""
    return f"{THEIRS}{name}" if _is_ours(name) else name


def their_name(name: str) -> str:
    """Return the name that `our_free_name` was given."""
    return name.removeprefix(THEIRS)


def name_every_node(model: onnx.ModelProto) -> None:
    """Give each node a unique name: its own if no other node has it, else the operator's with a number."""
    taken: set[str] = set()
    last: dict[str, int] = {}
    for node in model.graph.node:
        node.name = _unused(node.name or node.op_type, taken, last)
        taken.add(node.name)


def _is_ours(name: str) -> bool:
    """Whether a name is one of edgec's, or looks like one that `free_our_names` has changed."""
    return name in OURS or name.startswith(THEIRS) or name.startswith(tuple(f"{ours}_" for ours in OURS))


def _unused(name: str, taken: set[str], last: dict[str, int]) -> str:
    """Return the name with the first number that makes it new; `last` has the last number of each name."""
    candidate, number = name, last.get(name, 1)
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    last[name] = number
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
