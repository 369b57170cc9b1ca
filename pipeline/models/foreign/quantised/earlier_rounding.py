"""Moves rounding in front of operators that pick among values, so that an integer engine picks integers.

Rounding keeps the order of numbers and looks at each alone, so Q(Concat(a, b)) is Concat(Q(a), Q(b)), and the
largest of rounded numbers is the largest one rounded.
"""

from collections import Counter
from collections.abc import Iterator

import onnx
from onnx import helper

PICKS = frozenset(
    {"Concat", "MaxPool", "GlobalMaxPool", "Transpose", "Reshape", "Flatten", "Squeeze", "Identity"}
)


def round_earlier(model: onnx.ModelProto) -> None:
    """Put the Q/DQ of a QuantizeLinear also in front of what picks before it, where no Q/DQ is."""
    rewriter = _Rewriter(model)
    for node in list(model.graph.node):
        if node.op_type == "QuantizeLinear":
            rewriter.hoist(node.input[0], list(node.input[1:]))
    nodes = [new for node in model.graph.node for new in rewriter.with_added(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class _Rewriter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.producers = {name: node for node in model.graph.node for name in node.output}
        self.readers = Counter(name for node in model.graph.node for name in node.input)
        self.readers.update(value.name for value in model.graph.output)
        self.added: dict[str, list[onnx.NodeProto]] = {}
        """By the first output of the node that they go in front of."""

    def hoist(self, tensor: str, grid: list[str]) -> None:
        """Round the inputs of the node that makes `tensor`, if the tensor has no other reader."""
        picks = self.producers.get(tensor)
        if picks is None or picks.op_type not in PICKS or self.readers[tensor] != 1:
            return
        for slot, name in enumerate(picks.input if picks.op_type == "Concat" else picks.input[:1]):
            made_by = self.producers.get(name)
            if made_by is None or made_by.op_type == "DequantizeLinear":
                continue
            self.hoist(name, grid)
            rounded = f"{picks.output[0]}/rounded_{slot}"
            integers = f"{rounded}/integers"
            self.added.setdefault(picks.output[0], []).extend(
                [
                    helper.make_node(
                        "QuantizeLinear", [name, *grid], [integers], f"{rounded}/QuantizeLinear"
                    ),
                    helper.make_node("DequantizeLinear", [integers, *grid], [rounded], f"{rounded}/DQ"),
                ]
            )
            picks.input[slot] = rounded

    def with_added(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Yield what was put in front of a node, and the node."""
        yield from self.added.get(node.output[0], [])
        yield node
