"""Puts nodes in the place of others, all of a graph at once.

Looking for a node's place and inserting there takes time in proportion to the graph, and a rewrite that did
it for each node of a large graph took minutes.
"""

from collections.abc import Mapping, Sequence

import onnx


def replace_nodes(graph: onnx.GraphProto, made: Mapping[str, Sequence[onnx.NodeProto]]) -> None:
    """Put nodes in the place of the node that computes the tensor they are listed under; none takes it out.

    The nodes may include the one that is replaced.
    """
    if not made:
        return
    nodes = [new for node in graph.node for new in made.get(result(node), (node,))]
    del graph.node[:]
    graph.node.extend(nodes)


def result(node: onnx.NodeProto) -> str:
    """Return the first tensor that a node computes; no two nodes compute the same."""
    return next(iter(node.output), "")
