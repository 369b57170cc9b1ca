"""The results that an engine must give: every operator of the integer graph by its definition, in NumPy."""

from collections.abc import Mapping

from targets.tvm.integer_graph import Image, IntegerGraph, Island, Operator
from targets.tvm.tensors import Array, Bytes, Floats


def run(graph: IntegerGraph, images: Bytes) -> Floats:
    """Return logits [N, classes] for images [N, H, W, C]."""
    logits: Floats = all_values(graph, images)[graph.logits.name].reshape(len(images), -1)
    return logits


def all_values(graph: IntegerGraph, images: Bytes) -> dict[str, Array]:
    """Return every tensor by name for images [N, H, W, C]: [N, H, W, C], islands' as in ONNX."""
    values: dict[str, Array] = {graph.image.name: images, graph.pixels: images}
    for op in graph.operators:
        if not isinstance(op, Image):
            values |= evaluate(op, values)
    return values


def evaluate(op: Operator, values: Mapping[str, Array]) -> dict[str, Array]:
    """Compute one operator; `values` holds its inputs by name: [N, H, W, C], islands' as in ONNX."""
    if isinstance(op, Island):
        from targets.tvm.floats import island_oracle

        batches = {d.name: values[d.name].reshape(-1, *d.shape) for d in op.inputs}
        return island_oracle.evaluate(op, batches)
    if isinstance(op, Image):
        raise ValueError("the image is an input, it is not computed")
    return {op.output.name: op.compute(values)}
