"""Who reads which tensor, found for a whole graph at once."""

from collections import defaultdict

import onnx


def readers_by_tensor(graph: onnx.GraphProto) -> defaultdict[str, list[onnx.NodeProto]]:
    """Return for each tensor the nodes that read it, each once and in the order of the graph.

    A tensor that no node reads has an empty list.
    """
    readers = defaultdict[str, list[onnx.NodeProto]](list)
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            readers[name].append(node)
    return readers
