"""Powers with a constant exponent in quarters, written with products and square roots.

A power's last bits differ between machines; those of products and square roots do not (IEEE 754).
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.models.foreign.replaced_nodes import replace_nodes

MOST = 4


def write_powers_as_products(model: onnx.ModelProto) -> None:
    """Rewrite every Pow whose exponent is one of 0.25, 0.5, 0.75, 1, ... 4, or the negative of one."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made = {}
    for node in [node for node in model.graph.node if node.op_type == "Pow"]:
        exponent = constants.get(node.input[1])
        quarters = 0.0 if exponent is None or exponent.size != 1 else 4 * float(exponent.reshape(-1)[0])
        if quarters and quarters == round(quarters) and abs(quarters) <= 4 * MOST:
            made[node.output[0]] = _products(model.graph, node, round(quarters))
    replace_nodes(model.graph, made)


def _products(graph: onnx.GraphProto, node: onnx.NodeProto, quarters: int) -> list[onnx.NodeProto]:
    source, output = node.input[0], node.output[0]
    nodes: list[onnx.NodeProto] = []

    def add(operator: str, *given: str) -> str:
        name = f"{output}/{operator}_{len(nodes)}"
        nodes.append(helper.make_node(operator, list(given), [name], name))
        return name

    whole, rest = divmod(abs(quarters), 4)
    factors = [source] * whole
    if rest:
        half = add("Sqrt", source)
        factors += [half] if rest >= 2 else []
        factors += [add("Sqrt", half)] if rest != 2 else []
    result = factors[0]
    for factor in factors[1:]:
        result = add("Mul", result, factor)
    if quarters < 0:
        one = numpy_helper.from_array(np.array(1, np.float32), f"{output}/one")
        graph.initializer.append(one)
        result = add("Div", one.name, result)
    if result == source:
        add("Identity", source)
    nodes[-1].output[0] = output
    return nodes
