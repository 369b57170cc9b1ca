"""The values of every tensor of a network on a few pictures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.difference.real_graph import RealGraph

Array = NDArray[Any]
BYTES = 384 << 20
"""The most bytes of values that are held of one network."""
MOST, LEAST = 16, 2
"""How many pictures are looked at."""


def tensor_values(graph: RealGraph, pictures: NDArray[np.uint8]) -> Mapping[str, Array]:
    """Return the values of every tensor, and the pictures themselves uint8 [N, H, W, C].

    Operators run one by one, without fusion.
    """
    from calibration.exact.session import ALL_CORES, AS_WRITTEN, open_session

    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    wanted = [
        name
        for node in model.graph.node
        for name in node.output
        if name and name not in graph.constants and node.op_type != "QuantizeLinear"
    ]
    present = {one.name for one in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in wanted if name not in present
    )
    session = open_session(model.SerializeToString(), ALL_CORES, AS_WRITTEN)
    names = [one.name for one in session.get_outputs()]
    source = session.get_inputs()[0]
    step = source.shape[0] if isinstance(source.shape[0], int) else len(pictures)
    parts = [
        session.run(names, {source.name: pictures[start : start + step]})
        for start in range(0, len(pictures), step)
    ]
    found: dict[str, Array] = {source.name: pictures}
    for name, values in zip(names, zip(*parts, strict=True), strict=True):
        found[name] = np.concatenate(values) if values[0].ndim else values[0]
    return found


def enough_pictures(graph: RealGraph, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return as many of the pictures as the limits on memory allow."""
    bytes_each = sum(values.nbytes for values in tensor_values(graph, pictures[:1]).values())
    return pictures[: int(np.clip(BYTES // max(1, bytes_each), LEAST, MOST))]
